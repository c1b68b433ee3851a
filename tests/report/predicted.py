"""Material of made-up predictions, for the tests of figures that need those of each test image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sweep_samples import DIGITS, make_run

from orchestrator.data import Dataset, Split
from orchestrator.experiment import AugmentSpec, Cell, Experiment, expand
from orchestrator.report.figure import Material
from orchestrator.results import compare
from orchestrator.storage import Predictions

# As markup, formula, TeX and markdown they would be executed.
ODD = ("<b>c</b>&$x$", "a|b*c*\\al", "{{7*7}}%")


def material(
    *augments: AugmentSpec,
    seeds: int = 5,
    num_classes: int = 3,
    num_images: int = 300,
    storage: Path = Path("nowhere"),
    dataset: Dataset | None = None,
) -> Material:
    """Return material of finished cells: each later augmentation recognises a little more, the second class most."""
    experiment = Experiment(
        name="sample",
        dataset=(DIGITS,),
        model=("convnet",),
        augment=augments,
        seed=tuple(range(seeds)),
        file=Path("sample.yaml"),
        storage=storage.absolute(),
    )
    cells = expand(experiment)
    found = {cell.key: predictions_of(cell, augments, num_classes, num_images) for cell in cells}
    runs = {
        cell.key: make_run(cell, {"test/error": float((found[cell.key].predicted != found[cell.key].labels).mean())})
        for cell in cells
    }
    return Material(
        experiment=experiment,
        cells=cells,
        runs=runs,
        comparison=compare(cells, runs, predictions=lambda *_: None),
        predictions=lambda cell: found.get(cell.key),
        curves=lambda _: None,
        open_dataset=(lambda _: dataset) if dataset is not None else None,
    )


def predictions_of(cell: Cell, augments: Sequence[AugmentSpec], num_classes: int, num_images: int) -> Predictions:
    rng = np.random.default_rng(cell.seed)
    place = augments.index(cell.augment)
    labels = (np.arange(num_images) % num_classes).astype(np.uint8)
    missed = rng.random(num_images) < 0.3 - 0.03 * place - np.where(labels == 1, 0.05 * place, 0)
    predicted = np.where(missed, (labels + 1) % num_classes, labels).astype(np.uint8)
    confidence = np.clip(rng.normal(0.9, 0.05, num_images), 0.4, 1).astype(np.float32)
    loss = np.where(missed, 2.0, 0.1).astype(np.float32)
    return Predictions(labels, predicted, loss, confidence, "0" * 64)


def tiny_dataset(*, num: int = 300, size: int = 8, class_names: Sequence[str] = ODD) -> Dataset:
    """Return images of noise in three brightnesses, one for each class: all of them in all splits."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num) % len(class_names)
    noise = torch.randint(0, 100, (num, 1, size, size), generator=generator)
    split = Split(torch.arange(num), labels)
    return Dataset(
        "digits",
        (noise + 50 * labels[:, None, None, None]).to(torch.uint8),
        train=split,
        val=split,
        test=split,
        class_names=tuple(class_names),
        mean=(0.4,),
        std=(0.2,),
        split_hash="0" * 64,
        groups="",
        test_hash="0" * 64,
    )


def without_predictions(made: Material, *, of: AugmentSpec | None = None) -> Material:
    """Return it without those of an augmentation, or without any."""
    return replace(made, predictions=lambda cell: None if cell.augment == of or of is None else made.predictions(cell))
