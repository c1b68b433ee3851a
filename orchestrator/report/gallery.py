"""The same images under each augmentation, with their soft labels."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from orchestrator.amounts import counted
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.mixed import Mixed, mixed
from orchestrator.report.sources import Scene, mixing_of, of_datasets, prepared
from orchestrator.report.style import COLORS, FAINT, new_drawing, printable, wrapped

NUM_SHOWN, NUM_SHARES = 6, 3
# Of larger images nothing more is seen at this size, and the page would have no room for them.
LARGEST_SIDE = 64
SEED = 0
# Of an image, and of a line of its label, where images follow each other at a distance of 1.
_SIDE, _LINE = 0.9, 0.17
_NAME_WIDTH = 12


def gallery(material: Material) -> list[Figure]:
    """Return, for each data set, test images under each augmentation."""
    return of_datasets(material, "gallery", _of_dataset)


def _of_dataset(material: Material, scene: Scene, name: str, ending: str) -> Figure:
    images, labels = prepared(scene, scene.dataset.test, scene.batch_size, seed=SEED, largest=LARGEST_SIDE)
    batch_size = len(images)
    mixing, remark = mixing_of(scene, batch_size, material.names)
    if not mixing:
        raise Unavailable(f"No augmentation of the experiment mixes {counted(batch_size, 'test image')}.{remark}")
    made = {
        row: mixed(
            augmentation,
            images,
            labels,
            num_classes=scene.dataset.num_classes,
            batch_size=batch_size,
            seed=SEED,
        )
        for row, augmentation in mixing.items()
    }
    return Figure(
        name=name,
        title=f"What each augmentation makes of the same images{ending}",
        sentence=(
            f"The first {min(NUM_SHOWN, batch_size)} of a batch of {batch_size} test images as each augmentation mixes "
            f"them, without crops and flips; below each the largest {NUM_SHARES} shares of its soft label. It is one "
            f"draw: mixup and CutMix draw for each batch how much they mix.{scene.remark}{remark}"
        ),
        draw=lambda: _drawn(material, scene, made),
        data={
            "batch_size": batch_size,
            "augmentations": {
                row: [_largest(scene, target) for target in each.targets[:NUM_SHOWN]] for row, each in made.items()
            },
        },
    )


def _largest(scene: Scene, target: Tensor) -> list[dict[str, Any]]:
    shares = target.topk(min(NUM_SHARES, len(target)))
    return [
        {"class": printable(scene.dataset.class_names[label]), "share": round(share, 4)}
        for share, label in zip(shares.values.tolist(), shares.indices.tolist(), strict=True)
        if share >= 0.005
    ]


def _drawn(material: Material, scene: Scene, made: dict[str, Mixed]) -> Drawing:
    num = min(NUM_SHOWN, min(len(each.images) for each in made.values()))
    drawing = new_drawing(1.75 * len(made))
    places = drawing.subplots(len(made), 1, squeeze=False)[:, 0]
    for axes, (row, each) in zip(places, made.items(), strict=True):
        axes.set_title(wrapped(material.names.row(row), width=80), loc="left")
        for column in range(num):
            _image_drawn(axes, each.images[column], column)
            _label_drawn(axes, _largest(scene, each.targets[column]), column)
        axes.set_xlim(0, num)
        axes.set_ylim(-NUM_SHARES * _LINE, _SIDE)
        axes.set_aspect("equal")
        axes.axis("off")
    return drawing


def _image_drawn(axes: Any, image: Tensor, left: int) -> None:
    pixels = (255 * image.clamp(0, 1)).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()
    # As it is, so that files hold no more pixels than the image has.
    axes.imshow(pixels, interpolation="none", extent=(left, left + _SIDE, 0, _SIDE))


def _label_drawn(axes: Any, shares: list[dict[str, Any]], left: int) -> None:
    for place, each in enumerate(shares):
        middle = -(place + 0.5) * _LINE
        axes.barh(middle, _SIDE, height=0.8 * _LINE, left=left, color=FAINT, alpha=0.12, linewidth=0)
        # Pale enough for the ink of a light page, and for that of a dark one.
        axes.barh(middle, each["share"] * _SIDE, height=0.8 * _LINE, left=left, color=COLORS[0], alpha=0.4, linewidth=0)
        name = wrapped(each["class"], width=_NAME_WIDTH).partition("\n")[0]
        text = f"{name} {each['share']:.2f}".replace(" 0.", " .")
        axes.text(left + 0.03, middle, text, va="center_baseline", fontsize=6.5)
