"""In how many directions images extend, before and after mixing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from augment import Augmentation, Erm
from orchestrator.amounts import counted
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.measures.dimension import ESTIMATORS, NUM_NEIGHBOURS, intrinsic_dimension
from orchestrator.report.mixed import mixed
from orchestrator.report.sources import Scene, mixing_of, of_datasets, prepared
from orchestrator.report.style import COLORS, INK, height_of, label_rows, new_drawing
from orchestrator.results import Names
from orchestrator.waiting import counting

# Of the training split; the dimension is that around so many of them, in each of the draws of images and mixing.
NUM_IMAGES, NUM_CENTRES, NUM_DRAWS = 4000, 400, 4
# Larger images are made smaller: their neighbours are the same for the most part, and the time is not.
LARGEST_SIDE = 32
ORIGINAL = "original"

Changes = dict[str, dict[str, NDArray[np.float64]]]
"""By estimator and augmentation: the dimension in each draw, of the original images, or what mixing adds to it."""


def intrinsic_dimensions(material: Material) -> list[Figure]:
    """Return, for each data set, the intrinsic dimension before and after mixing."""
    return of_datasets(material, "intrinsic-dimension", _of_dataset)


def _of_dataset(material: Material, scene: Scene, name: str, ending: str) -> Figure:
    num = min(NUM_IMAGES, len(scene.dataset.train))
    batch_size = min(scene.batch_size, num)
    mixing, remark = mixing_of(scene, batch_size, material.names)
    mixing = {label: augmentation for label, augmentation in mixing.items() if not isinstance(augmentation, Erm)}
    if not mixing:
        raise Unavailable("No augmentation of the experiment mixes images.")
    if num < 2 * NUM_NEIGHBOURS:
        raise Unavailable(
            f"{scene.spec.label} has {counted(num, 'training image')}: {NUM_NEIGHBOURS} neighbours say something of "
            f"{2 * NUM_NEIGHBOURS} or more."
        )

    def images(draw: int) -> tuple[Tensor, Tensor]:
        return prepared(scene, scene.dataset.train, NUM_IMAGES, seed=draw, largest=LARGEST_SIDE)

    with counting(f"the intrinsic dimension of {scene.spec.label}, before and after mixing") as show:
        found = changes(images, mixing, batch_size=batch_size, num_centres=NUM_CENTRES, on_progress=show)
    return Figure(
        name=name,
        title=f"Intrinsic dimension{ending}",
        sentence=_sentence(material.names, found, num) + scene.remark + remark,
        draw=lambda: _drawn(material, found),
        data={
            "images": num,
            "neighbours": NUM_NEIGHBOURS,
            "centres": min(NUM_CENTRES, num),
            "draws": NUM_DRAWS,
            "batch_size": batch_size,
            "estimators": {
                estimator: {row: {"mean": float(each.mean()), "std": _std(each)} for row, each in of.items()}
                for estimator, of in found.items()
            },
        },
    )


def changes(
    images: Callable[[int], tuple[Tensor, Tensor]],
    mixing: Mapping[str, Augmentation],
    *,
    batch_size: int,
    num_centres: int | None,
    on_progress: Callable[[int, int], None],
) -> Changes:
    """Return the intrinsic dimension of images, and what mixing adds to it, in `NUM_DRAWS` draws of images and mixing.

    Args:
        images: Returns those of a draw, float32 ``[n, C, S, S]``, and their labels.
        mixing: Augmentations by name.
        batch_size: Images that are mixed at a time.
        num_centres: See `intrinsic_dimension`.
        on_progress: Is told how many sets are done, and of how many.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ESTIMATORS}
    total = NUM_DRAWS * (1 + len(mixing))
    for draw in range(NUM_DRAWS):
        real, labels = images(draw)
        num_classes = int(labels.max()) + 1
        before = intrinsic_dimension(real.flatten(1).numpy(), num_centres=num_centres)
        on_progress(draw * (1 + len(mixing)) + 1, total)
        for estimator, dimension in before.items():
            found[estimator].setdefault(ORIGINAL, []).append(dimension)
        for done, (name, augmentation) in enumerate(mixing.items(), start=2):
            made = mixed(augmentation, real, labels, num_classes=num_classes, batch_size=batch_size, seed=draw)
            after = intrinsic_dimension(made.images.flatten(1).numpy(), num_centres=num_centres)
            on_progress(draw * (1 + len(mixing)) + done, total)
            for estimator, dimension in after.items():
                found[estimator].setdefault(name, []).append(dimension - before[estimator])
    return {estimator: {name: np.array(each) for name, each in of.items()} for estimator, of in found.items()}


def _std(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1))


def _sentence(names: Names, found: Changes, num: int) -> str:
    parts = []
    for estimator, of_rows in found.items():
        added = {row: values.mean() for row, values in of_rows.items() if row != ORIGINAL}
        least, most = min(added, key=lambda row: abs(added[row])), max(added, key=lambda row: abs(added[row]))
        original = of_rows[ORIGINAL]
        least_row = names.row(least)
        most_words = f"; {names.row(most)} changes it most, by {added[most]:+.1f} ± {_std(of_rows[most]):.1f}"
        parts.append(
            f"By {estimator} images extend in {original.mean():.1f} ± {_std(original):.1f} directions; "
            f"{least_row} changes that least, by {added[least]:+.1f} ± {_std(of_rows[least]):.1f}"
            f"{most_words if most != least else ''}."
        )
    return (
        f"{' '.join(parts)} {NUM_NEIGHBOURS} neighbours among {num:,} images; ± is the standard deviation over "
        f"{NUM_DRAWS} draws of images and mixing. Only differences by the same estimator mean something."
    )


def _drawn(material: Material, found: Changes) -> Drawing:
    rows = [row for row in next(iter(found.values())) if row != ORIGINAL]
    labels = [material.names.row(row) for row in rows]
    drawing = new_drawing(height_of(labels, least_in=1.3))
    for place, (axes, (estimator, of_rows)) in enumerate(
        zip(drawing.subplots(1, len(found), sharey=True), found.items(), strict=True)
    ):
        axes.axvline(0, color=INK, linewidth=0.8)
        for at, row in enumerate(rows):
            values = of_rows[row]
            axes.hlines(at, values.mean() - _std(values), values.mean() + _std(values), color=COLORS[place])
            axes.plot(values.mean(), at, marker="o", markersize=4, color=COLORS[place])
        if place == 0:
            label_rows(axes, labels)
        else:
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="y", linewidth=0.5)
        name, _, of = estimator.partition(" (")
        axes.set_title(f"{name}\n({of}", fontsize=8)
        axes.set_xlabel(f"added to {of_rows[ORIGINAL].mean():.1f} of the images")
    return drawing
