"""The selection as a reader sees it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from shown import text_of
from sweep_samples import ERM, MIXUP, ZETA, make_cells, runs_with

from orchestrator.results import render_selection, select


def test_selection_says_that_it_looked_at_validation_only() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {ERM: (0.3, 0.31, 0.32), MIXUP: (0.2, 0.18, 0.22), ZETA: (0.1,)}, metric="best/error")
    runs = {key: replace(run, metrics={**run.metrics, "test/error": 0.25}) for key, run in runs.items()}
    (selection,) = select(cells, runs)
    text = text_of(render_selection([selection]))
    assert text.splitlines()[0] == "digits: convnet, mixup(alpha=1.0)"
    assert "validation error: 20.00 ± 2.00 %, n=3 (the choice looks at nothing else)" in text
    assert "test error: 25.00 ± 0.00 % (for information)" in text
    assert selection.cell is not None
    assert f"best on validation: seed=1 (cell {selection.cell.key}, run {selection.run_id})" in text
    assert f"its model: {selection.model_uri}" in text
    assert "next of 2 on validation: convnet, erm: 31.00 ± 1.00 %" in text
    assert "not eligible: convnet, zeta_mixup(gamma=2.8, num_mixed=4): 1 of 3 seeds done" in text


def test_selection_of_nothing() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {MIXUP: (0.1, math.nan, 0.1)}, metric="best/error")
    text = text_of(render_selection(select(cells, runs)))
    assert "digits: nothing to select, no configuration has all its seeds done" in text
    assert "not eligible: convnet, erm: 0 of 3 seeds done" in text
    assert "not eligible: convnet, mixup(alpha=1.0): its metric is not finite" in text


def test_ties_are_said() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    # Each the same number of errors, spread differently over the seeds.
    runs = runs_with(cells, {ERM: (0.1, 0.2, 0.3), MIXUP: (0.3, 0.1, 0.2), ZETA: (0.2, 0.2, 0.2)}, metric="best/error")
    text = text_of(render_selection(select(cells, runs)), 200)
    assert text.splitlines()[0] == "digits: convnet, erm"
    tie = "tie: as good on validation are convnet, mixup(alpha=1.0); convnet, zeta_mixup(gamma=2.8, num_mixed=4)"
    assert f"{tie}: the first in the file is chosen" in text
    assert "as good: the first is taken" not in text


@pytest.mark.parametrize(("values", "equal"), [((0.2, 0.2, 0.2), "seed=1, seed=2 are"), ((0.1, 0.1, 0.3), "seed=1 is")])
def test_seeds_that_tie_are_said(values: tuple[float, ...], equal: str) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: values, MIXUP: (0.4, 0.3, 0.4)}, metric="best/error")
    text = text_of(render_selection(select(cells, runs)), 200)
    assert "tie:" not in text
    assert f"best on validation: seed=0, and {equal} as good: the first is taken (cell " in text
