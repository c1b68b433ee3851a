"""Rows whose augmentation changes from epoch to epoch: in the table, its files, --best-of and select."""

from __future__ import annotations

import csv
import io

from sweep_samples import ERM, make_cells, make_run, trained_with

from orchestrator.experiment import AugmentSpec, Cell
from orchestrator.experiment.schedule_spec import Linear
from orchestrator.results import compare
from orchestrator.results.answer import answer_of
from orchestrator.results.formats.source import Source
from orchestrator.results.formats.tidy_csv import tidy_csv
from orchestrator.results.names import Names
from orchestrator.results.selection import select

CHANGING = AugmentSpec(name="zeta_mixup", params={"gamma": Linear(linear=(6.0, 2.0)), "num_mixed": 4})
ROW, GAMMA = "zeta_mixup(gamma=linear(6.0 to 2.0), num_mixed=4)", "linear(6.0 to 2.0)"
CELLS = [cell for lr in (0.05, 0.1) for cell in trained_with(make_cells(ERM, CHANGING), lr=lr)]


def error_of(cell: Cell) -> float:
    lr = cell.train.lr
    return (0.2 + lr if cell.augment.name == "erm" else 0.3 - lr) + 0.001 * cell.seed


RUNS = {cell.key: make_run(cell, dict.fromkeys(("best/error", "test/error"), error_of(cell))) for cell in CELLS}


def test_each_is_at_its_best_under_its_label() -> None:
    comparison = compare(CELLS, RUNS, best_of_settings=["lr"])
    assert comparison.rows == ("erm", ROW)
    assert comparison.choices is not None
    assert [(choice.row, choice.settings) for choice in comparison.choices.made] == [
        ("erm", "lr=0.05"),
        (ROW, "lr=0.1"),
    ]
    answer = answer_of(comparison, Names())
    gammas = [row[answer.columns.index("gamma")] for row in answer.rows]
    assert gammas == [GAMMA, None]
    lines = list(csv.DictReader(io.StringIO(tidy_csv(Source(comparison, runs=RUNS)))))
    assert {(line["gamma"], line["num_mixed"]) for line in lines} == {("", ""), (GAMMA, "4")}


def test_select_names_it() -> None:
    (selection,) = select(CELLS, RUNS)
    assert selection.best is not None
    assert selection.best.label == f"convnet, {ROW}"
