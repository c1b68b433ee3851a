"""The images that augmentations are shown with, and the augmentations of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augment import Augmentation
from orchestrator.data import Dataset, Split
from orchestrator.errors import DataError
from orchestrator.experiment import AugmentSpec, Cell, DatasetSpec
from orchestrator.report.columns import with_missing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.results import Names

# More augmentations are not read, and take long.
AT_MOST = 12


@dataclass(frozen=True)
class Scene:
    """A data set with the cells that are trained on it.

    Attributes:
        spec: Of the data set; in folds, of the first.
        dataset: Its images.
        cells: In the experiment's order.
        num_augmentations: How many differ.
        augmentations: Of those at most `AT_MOST`, those of a kind spread evenly.
    """

    spec: DatasetSpec
    dataset: Dataset
    cells: Sequence[Cell]
    num_augmentations: int
    augmentations: tuple[AugmentSpec, ...]

    @property
    def batch_size(self) -> int:
        """Of a worker; where cells differ in it the largest."""
        return max(cell.train.batch_size_per_worker for cell in self.cells)

    @property
    def remark(self) -> str:
        """What is not shown; empty if all is."""
        num = len(self.augmentations)
        return f" Of {self.num_augmentations} augmentations {num} are shown." if num < self.num_augmentations else ""


def of_datasets(material: Material, kind: str, make: Callable[[Material, Scene, str, str], Figure]) -> list[Figure]:
    """Return a figure for each data set that has one.

    Args:
        material: Of the figures.
        kind: Theirs.
        make: Makes the one of a data set, with such a name, and such an ending of its title.

    Raises:
        Unavailable: No data set has one; says why the last has none.
    """
    places: dict[DatasetSpec, list[Cell]] = {}
    for cell in material.cells:
        places.setdefault(cell.dataset.over_folds, []).append(cell)
    found: list[Figure] = []
    missing: dict[str, str] = {}
    for number, (spec, cells) in enumerate(places.items(), start=1):
        name = kind if len(places) == 1 else f"{kind}-{number}"
        ending = "" if len(places) == 1 else f": {material.names.dataset(spec.label)}"
        try:
            found.append(make(material, _scene(material, cells), name, ending))
        except Unavailable as error:
            missing[material.names.dataset(spec.label)] = error.reason
    return with_missing(found, missing, of_none="The experiment has no cells.")


def mixing_of(scene: Scene, batch_size: int, names: Names) -> tuple[dict[str, Augmentation], str]:
    """Return the augmentations of a scene by label, and in words which need larger batches, and what is shown of those
    that change from epoch to epoch; empty where there are none.
    """
    built = {spec.label: spec.build(backend="torch") for spec in scene.augmentations}
    large = [names.row(label) for label, each in built.items() if each.min_batch_size > batch_size]
    remark = (
        f" Left out, since they mix more than the {batch_size} images there are: {', '.join(large)}." if large else ""
    )
    if any(spec.schedules for spec in scene.augmentations):
        remark += " What changes from epoch to epoch is shown as it is in the first."
    return {label: each for label, each in built.items() if label not in large}, remark


def prepared(scene: Scene, split: Split, num: int, *, seed: int, largest: int | None = None) -> tuple[Tensor, Tensor]:
    """Return images of a split as they are tested, float32 ``[n, C, S, S]`` in [0, 1], and their labels.

    Args:
        scene: Of the data set.
        split: One of its splits.
        num: At most so many, drawn from `split`.
        seed: Of the draw.
        largest: Height and width to which larger ones are brought; None to leave them.
    """
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:num]
    transform = scene.spec.transform()
    images = []
    for rows in torch.split(split.rows[chosen], 64):
        of_batch = transform.for_evaluation(scene.dataset.images[rows]).float() / 255
        if largest is not None and of_batch.shape[-1] > largest:
            of_batch = torch.nn.functional.interpolate(of_batch, size=(largest, largest), mode="area")
        images.append(of_batch)
    return torch.cat(images), split.labels[chosen]


def _scene(material: Material, cells: Sequence[Cell]) -> Scene:
    every = list(dict.fromkeys(cell.augment for cell in cells))
    spec = cells[0].dataset
    return Scene(spec, _opened(material, spec), cells, len(every), _spread(every))


def _opened(material: Material, spec: DatasetSpec) -> Dataset:
    if material.open_dataset is None:
        raise Unavailable(
            f"The images of {spec.label} are not there: put them below {material.experiment.data_dir}, or name their "
            "folder with -o data_dir=PATH."
        )
    try:
        return material.open_dataset(spec)
    except DataError as error:
        raise Unavailable(f"The images of {spec.label} are not there: {error.in_one_line.rstrip('.')}.") from error


def _spread(every: Sequence[AugmentSpec]) -> tuple[AugmentSpec, ...]:
    """Return at most `AT_MOST`: of each kind as many as of the others, from its first to its last."""
    kinds: dict[str, list[AugmentSpec]] = {}
    for spec in every:
        kinds.setdefault(spec.name, []).append(spec)
    left, chosen = AT_MOST, set()
    for number, of_kind in enumerate(sorted(kinds.values(), key=len)):
        num = min(len(of_kind), max(1, left // (len(kinds) - number)))
        step = (len(of_kind) - 1) / max(1, num - 1)
        chosen |= {of_kind[round(step * at)] for at in range(num)}
        left -= num
    return tuple(spec for spec in every if spec in chosen)
