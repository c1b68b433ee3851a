"""Comparisons made up for the tests of what is shown, and what a terminal makes of them."""

from __future__ import annotations

import io
import re

from rich.console import Console, RenderableType
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, runs_with

from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results.comparison import Comparison, compare

VALUES = {ERM: (0.10, 0.11, 0.12), MIXUP: (0.05, 0.07, 0.06), ZETA: (0.041, 0.045, 0.04), ZETA_BATCH: (0.01,)}
CIFAR = DatasetSpec.model_validate({"name": "cifar10", "num_train": 10_000})


def text_of(renderable: RenderableType, width: int = 120) -> str:
    console = Console(width=width, color_system=None, file=io.StringIO())
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def sample() -> Comparison:
    cells = make_cells(ERM, MIXUP, ZETA, ZETA_BATCH)
    return compare(cells, runs_with(cells, VALUES))


def wide_sample() -> Comparison:
    """Four columns: one complete, one partial, two missing."""
    cells = make_cells(ERM, MIXUP, ZETA, ZETA_BATCH, datasets=[DIGITS, CIFAR], models=("convnet", "resnet18"))
    runs = runs_with(cells, {**VALUES, ZETA_BATCH: (0.2, 0.2, 0.3)})
    for cell in cells:
        if cell.dataset == CIFAR or (cell.model.name == "resnet18" and cell.seed == 2):
            del runs[cell.key]
    return compare(cells, runs)
