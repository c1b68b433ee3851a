"""The selection as a reader sees it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from shown import text_of
from sweep_samples import ERM, MIXUP, ZETA, make_cells, runs_with

from orchestrator.errors import UserError
from orchestrator.experiment import DatasetSpec
from orchestrator.results import check_selected, describe_selection, render_selection, select


def test_selection_says_that_it_looked_at_validation_only() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {ERM: (0.3, 0.31, 0.32), MIXUP: (0.2, 0.18, 0.22), ZETA: (0.1,)}, metric="best/error")
    runs = {key: replace(run, metrics={**run.metrics, "test/error": 0.25}) for key, run in runs.items()}
    (selection,) = select(cells, runs)
    text = text_of(render_selection([selection]))
    assert text.splitlines()[0] == "digits: convnet, mixup(alpha=1.0)"
    assert "validation error: 20.00 ± 2.00 %, n=3 (the choice looks at nothing else)" in text
    assert "test error: 25.00 % (for information: of each seed, with the choice made by the others)" in text
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


def test_how_sure_the_choice_is_stands_beside_it() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    values = {ERM: (0.3, 0.31, 0.3), MIXUP: (0.1, 0.11, 0.1), ZETA: (0.11, 0.1, 0.11)}
    text = text_of(render_selection(select(cells, runs_with(cells, values, metric="best/error"))), 200)
    assert "how sure: any of these 2 may be the best on validation: mixup(alpha=1.0); zeta_mixup(" in text
    assert "test error: not known (not every seed has it: " in text
    alike = runs_with(cells, dict.fromkeys(values, values[ERM]), metric="best/error")
    assert "any of the 3 configurations may be the best" in text_of(render_selection(select(cells, alike)), 200)
    clear = runs_with(cells, {**values, ZETA: (0.5, 0.51, 0.5)}, metric="best/error")
    assert "how sure: no other configuration is better on validation" in text_of(
        render_selection(select(cells, clear)), 200
    )
    text = text_of(render_selection(select(make_cells(ERM, MIXUP, seeds=[0]), clear)), 200)
    assert "how sure: too few seeds to tell any two configurations apart on validation" in text
    assert "test error: not known (it takes two seeds: " in text
    assert "there is no other configuration" in text_of(render_selection(select(make_cells(ERM), clear)), 200)


def test_several_metrics_say_whether_they_agree() -> None:
    cells = make_cells(ERM, MIXUP)
    by_error = runs_with(cells, {ERM: (0.3, 0.3, 0.3), MIXUP: (0.1, 0.1, 0.1)}, metric="best/error")
    by_auroc = runs_with(cells, {ERM: (0.9, 0.9, 0.9), MIXUP: (0.8, 0.8, 0.8)}, metric="best/auroc")
    runs = {key: replace(run, metrics={**run.metrics, **by_auroc[key].metrics}) for key, run in by_error.items()}
    selections = [select(cells, runs, metric=metric)[0] for metric in ("error", "auroc")]
    text = text_of(render_selection(selections), 200)
    assert "digits by error: convnet, mixup(alpha=1.0)" in text
    assert "digits by auroc: convnet, erm" in text
    assert "digits: the metrics disagree: error: convnet, mixup(alpha=1.0); auroc: convnet, erm" in text
    twice = [selections[0], replace(selections[0], metric=selections[1].metric)]
    assert "digits: the metrics choose the same" in text_of(render_selection(twice), 200)


def test_a_metric_that_finished_cells_lack_is_no_missing_seed() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.3, 0.31, 0.32), MIXUP: (0.2, 0.18, 0.22)}, metric="best/error")
    selections = [*select(cells, runs, metric="error"), *select(cells, runs, metric="auroc")]
    text = text_of(render_selection(selections), 300)
    assert "digits by auroc: nothing to select, no finished cell has best/auroc" in text
    assert "not eligible: convnet, erm: 3 of 3 seeds done, 3 lack best/auroc" in text
    assert "digits: error: convnet, mixup(alpha=1.0); by auroc nothing is chosen" in text
    assert "the metrics choose the same" not in text
    with pytest.raises(UserError, match="metric = best/auroc: none of the finished cells has it"):
        check_selected(selections)
    check_selected(selections[:1])
    check_selected(select(cells, {}, metric="auroc"))


def test_a_single_row_that_is_judged_has_nobody_to_be_told_from() -> None:
    cells = make_cells(ERM, MIXUP)
    text = text_of(
        render_selection(select(cells, runs_with(cells, {ERM: (0.3, 0.31, 0.32)}, metric="best/error"))), 200
    )
    assert "how sure: no other configuration is judged yet" in text
    assert "too few seeds" not in text


def test_a_description_says_what_a_model_is_and_shows_names_as_they_are() -> None:
    cells = make_cells(MIXUP, datasets=[DatasetSpec.model_validate({"name": "digits", "shown_as": "<b>*mine*</b>"})])
    (selection,) = select(cells, runs_with(cells, {MIXUP: (0.2, 0.18, 0.22)}, metric="best/error"))
    heading, amount, setting = describe_selection(selection, experiment="_a_ [b](c)").split("\n\n")
    assert heading == (
        r"**convnet, mixup(alpha=1.0)** on &lt;b&gt;\*mine\*&lt;/b&gt;, chosen on validation by zetasweep in \_a\_ "
        r"\[b\](c)."
    )
    assert amount == (
        "Validation error: 20.00 ± 2.00 % (mean ± standard deviation of n=3); this is seed=1, the best of them: 18.00."
    )
    assert setting.startswith("Setting: dataset=digits, model=convnet, augment=mixup, alpha=1.0, seed=1, ")
