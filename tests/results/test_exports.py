"""Of which finished cells MLflow is to have the model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from sweep_samples import ERM, MIXUP, make_cells, make_run, trained_with

from orchestrator.experiment import Cell, Models
from orchestrator.records import CellRun
from orchestrator.results import models_to_export

CELLS = make_cells(ERM, MIXUP, seeds=(0, 1, 2))
# By validation seed 1 is the best of erm, and seed 2 of mixup; the test says otherwise.
ERRORS = {
    ("erm", 0): 0.3,
    ("erm", 1): 0.1,
    ("erm", 2): 0.2,
    ("mixup", 0): math.nan,
    ("mixup", 1): 0.2,
    ("mixup", 2): 0.1,
}


def runs_of(cells: list[Cell], *, without: tuple[str, int] | None = None) -> dict[str, CellRun]:
    """Finished runs of all cells but one, which is underway; none has a model."""
    runs = {}
    for cell in cells:
        name = (cell.augment.name, cell.seed)
        metrics = {"best/error": ERRORS[name], "best/auroc": ERRORS[name], "test/error": 1 - ERRORS[name]}
        made = make_run(cell, metrics, status="running" if name == without else "done")
        runs[cell.key] = replace(made, model_uri=None)
    return runs


def named(cells: list[Cell]) -> list[tuple[str, int]]:
    return [(cell.augment.name, cell.seed) for cell in cells]


@pytest.mark.parametrize(
    ("models", "without", "expected"),
    [
        ("none", None, []),
        ("best", None, [("erm", 1), ("mixup", 2)]),
        ("best", ("erm", 0), [("mixup", 2)]),
        ("all", None, list(ERRORS)),
        ("all", ("erm", 0), [name for name in ERRORS if name != ("erm", 0)]),
    ],
)
def test_which_cells(models: Models, without: tuple[str, int] | None, expected: list[tuple[str, int]]) -> None:
    assert sorted(named(models_to_export(CELLS, runs_of(CELLS, without=without), models))) == sorted(expected)


def test_what_mlflow_has_is_not_wanted_again() -> None:
    """Of an old store it has each cell's; a seed that is added may be a better one."""
    runs = runs_of(CELLS)
    for cell in CELLS:
        if cell.augment.name == "erm" or cell.seed == 1:
            runs[cell.key] = replace(runs[cell.key], model_uri="models:/m-1")
    assert named(models_to_export(CELLS, runs, "best")) == [("mixup", 2)]


def test_the_best_seed_is_that_of_the_metric_that_chooses_epochs() -> None:
    cells = trained_with(make_cells(ERM, seeds=(0, 1, 2)), best_by="auroc")
    assert named(models_to_export(cells, runs_of(cells), "best")) == [("erm", 0)]
