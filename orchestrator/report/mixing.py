"""What augmentations make of images and labels, measured: ghosting, richness, realism, correctness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from orchestrator.amounts import counted, some
from orchestrator.report.columns import tied_first
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material
from orchestrator.report.markup import filled
from orchestrator.report.mixed import NUM_DRAWS, Blending, blending
from orchestrator.report.seen import SEED, networks_of, seen_in
from orchestrator.report.sources import Scene, mixing_of, of_datasets
from orchestrator.report.style import COLORS, height_of, label_rows, new_drawing, wrapped
from orchestrator.waiting import counting


@dataclass(frozen=True)
class Measure:
    """What is shown of a measure: its heading, how it is written, and what it is."""

    heading: str
    digits: str
    what: str


# More rows than that are counted.
NAMED = 4
MEASURES: Mapping[str, Measure] = {
    "ghosting": Measure("ghosting", ".2f", "1 - w1² / Σw² of the weights at a pixel: 0 where one image alone is seen"),
    "second_weight": Measure("second weight", ".2f", "of the image that shows most after the first, at a pixel"),
    "effective_number": Measure("samples in a label", ".2f", "1 / Σw²: as many equal shares as a label has"),
    "entropy": Measure("label entropy", ".2f", "in nats: 0 for one class alone"),
    "frechet": Measure("Fréchet distance", ".3g", "to other real images, in features of erm; erm itself mixes none"),
    "confidence": Measure("confidence", ".2f", "of erm in what it predicts for a mixed image"),
    "label_loss": Measure("label's loss", ".2f", "cross-entropy, in nats, of the soft label and what erm predicts"),
    "label_error": Measure("label's error", ".2f", "the same less the label's entropy: 0 where erm predicts the label"),
}


def mixing(material: Material) -> list[Figure]:
    """Return, for each data set, what its augmentations make of it, in numbers."""
    return of_datasets(material, "mixing", _of_dataset)


def _of_dataset(material: Material, scene: Scene, name: str, ending: str) -> Figure:
    labels, num_classes = scene.dataset.train.labels, scene.dataset.num_classes
    batch_size = min(scene.batch_size, len(labels))
    rows, remark = mixing_of(scene, batch_size, material.names)
    image_size = scene.spec.image_size or scene.dataset.stored_size
    with counting(f"how augmentations blend {scene.spec.label}") as show:
        blends: dict[str, Blending] = {}
        for done, (row, augmentation) in enumerate(rows.items()):
            show(done, len(rows))
            blends[row] = blending(
                augmentation, labels, num_classes=num_classes, batch_size=batch_size, image_size=image_size, seed=SEED
            )
    networks, why = networks_of(material, scene)
    seen = seen_in(scene, networks) if networks else {}
    numbers = {row: asdict(each) | (asdict(seen[row]) if row in seen else {}) for row, each in blends.items()}
    return Figure(
        name=name,
        title=f"Ghosting, labels and realism{ending}",
        sentence=_sentence(material, numbers, len(networks)) + why + scene.remark + remark,
        draw=lambda: _drawn(material, numbers),
        html=_table(material, numbers),
        data={"batch_size": batch_size, "draws": NUM_DRAWS, "networks": len(networks), "augmentations": numbers},
    )


def _sentence(material: Material, numbers: Mapping[str, Mapping[str, float]], num_networks: int) -> str:
    def most(measure: str) -> str:
        rows = tied_first(list(numbers), lambda each: -numbers[each].get(measure, 0.0))
        called = some([material.names.row(row) for row in rows], at_most=NAMED)
        return f"{called} ({numbers[rows[0]][measure]:{MEASURES[measure].digits}})"

    seen = ""
    if num_networks:
        seen = (
            f" As {counted(num_networks, 'network')} trained without mixing see test images, farthest from real ones "
            f"is {most('frechet')}, labels are furthest off with {most('label_error')}; the row erm says what "
            "images have that are not mixed."
        )
    return (
        f"Most ghosting has {most('ghosting')}, the richest labels {most('effective_number')}; means over {NUM_DRAWS} "
        f"batches.{seen}"
    )


def _measures(numbers: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [measure for measure in MEASURES if any(measure in of_row for of_row in numbers.values())]


def _table(material: Material, numbers: Mapping[str, Mapping[str, float]]) -> str:
    measures = _measures(numbers)
    return filled(
        "measures.html",
        measures=[MEASURES[each] for each in measures],
        rows=[
            {
                "label": material.names.row(row),
                "shown": [f"{of_row[each]:{MEASURES[each].digits}}" if each in of_row else "" for each in measures],
            }
            for row, of_row in numbers.items()
        ],
    )


def _drawn(material: Material, numbers: Mapping[str, Mapping[str, float]]) -> Drawing:
    measures, labels = _measures(numbers), [material.names.row(row) for row in numbers]
    per_line = 4
    num_lines = -(-len(measures) // per_line)
    drawing = new_drawing(num_lines * height_of(labels, least_in=1.05, of_row_in=0.22))
    places = drawing.subplots(num_lines, per_line, sharey=True, squeeze=False)
    for axes in places.flat[len(measures) :]:
        axes.axis("off")
    for axes, measure in zip(places.flat, measures, strict=False):
        for place, of_row in enumerate(numbers.values()):
            if measure in of_row:
                axes.barh(place, of_row[measure], height=0.6, color=COLORS[0])
        axes.set_title(wrapped(MEASURES[measure].heading, width=12), fontsize=8)
        axes.tick_params(axis="y", length=0)
    for line in places:
        label_rows(line[0], labels)
    return drawing
