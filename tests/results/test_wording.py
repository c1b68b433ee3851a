"""What is said beside the numbers: what the seeds can tell, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from shown import sample, text_of, words
from sweep_samples import ERM, MIXUP, ZETA, make_cells, make_run, runs_with

from orchestrator.experiment import AugmentSpec, Cell, Comparing
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import compare, remarks, render
from orchestrator.results.statistics import analyse


def said(cells: list[Cell], values: Mapping[AugmentSpec, Sequence[float]], **options: Any) -> str:
    return words(text_of(render(compare(cells, runs_with(cells, values), **options), "table"), 400))


NEAR = {ERM: (0.10, 0.12, 0.11), MIXUP: (0.101, 0.109, 0.113), ZETA: (0.041, 0.045, 0.04)}


def test_remarks_say_what_the_seeds_can_tell_and_what_is_missing() -> None:
    text = words(text_of(render(sample(), "table"), 400))
    zeta = "zeta_mixup(gamma=2.8, num_mixed=4)"
    assert "- digits / convnet: better than erm: mixup(alpha=1.0) by -5.00 points (-7.05 to -2.95), " in text
    assert f"{zeta} by -6.80 points (-8.89 to -4.71)" in text
    assert (
        "zeta_mixup(gamma=2.8, num_mixed=64) may be the best; it alone of 4 rows is not ruled out, and it lacks seeds."
        in text
    )
    assert "this table sees differences from 2.90 points on, four times out of five" in text
    assert "0.50 points would need about 48 seeds." in text
    assert "hold together for all rows of a column with 95 % confidence (Dunnett" in text
    assert (
        "Without a value: 2 of 12 cells (2 missing). Only a row with all of its seeds is starred, and none while"
        in text
    )


def test_remarks_name_what_may_be_the_best() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    clear = said(cells, NEAR)
    assert f"{ZETA.label} is the best: no other row is better." in clear
    assert f"not told apart from erm: {MIXUP.label} by -0.23 points" in clear
    close = said(cells, NEAR | {ZETA: (0.102, 0.108, 0.111)})
    assert "any of the rows may be the best: none is ruled out." in close
    two = said(cells, NEAR | {ERM: (0.3, 0.31, 0.32), MIXUP: (0.042, 0.043, 0.044)})
    assert f"may be the best: {MIXUP.label}, {ZETA.label}; ruled out: erm." in two


def test_remarks_name_rows_that_are_worse_or_equal_within_the_margin() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    text = said(
        cells,
        {ERM: (0.100, 0.101, 0.102), MIXUP: (0.1001, 0.1011, 0.1019), ZETA: (0.2, 0.21, 0.22)},
        comparing=Comparing(margin=3),
    )
    assert f"worse than erm: {ZETA.label} by +10.90 points" in text
    assert f"equal to erm within 3.00 points: {MIXUP.label} by 0.00 points" in text


def test_remarks_with_too_few_seeds() -> None:
    one = said(make_cells(ERM, MIXUP, seeds=(0,)), {ERM: (0.2,), MIXUP: (0.1,)})
    assert "too few seeds to tell rows apart: mixup(alpha=1.0) has the best mean so far, which says little." in one
    assert "Three seeds tell something: add seeds to the file, and zetasweep run trains them." in one
    assert "In brackets" not in one
    assert "Without a value" not in one
    two = said(make_cells(ERM, MIXUP, seeds=(0, 1)), {ERM: (0.2, 0.21), MIXUP: (0.1, 0.12)})
    assert "too few seeds to tell rows apart" in two
    assert "differences from 12.11 points on, four times out of five; 0.50 points would need about 37 seeds." in two
    rough = said(make_cells(ERM, MIXUP, ZETA, seeds=(0, 1)), {ERM: (0.2, 0.3), MIXUP: (0.1, 0.22), ZETA: (0.1, 0.2)})
    assert "the intervals are rough: they lean on very few seeds." in rough


def test_remarks_of_failed_trainings() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, NEAR | {ZETA: (0.01, 0.01)})
    runs[cells[-1].key] = replace(make_run(cells[-1], {}), status="failed")
    text = words(text_of(render(compare(cells, runs), "table"), 400))
    assert f"{ZETA.label}: 1 of 3 trainings failed (1 to 91 % of all would): not judged." in text
    runs = {key: replace(run, num_classes=10) for key, run in runs.items()}
    text = words(text_of(render(compare(cells, runs), "table"), 400))
    assert "not judged; its mean would be 30.67 if the failure counts as guessing." in text
    first = next(cell.key for cell in cells if cell.augment == ZETA)
    for value in (math.nan, math.inf):
        damaged = runs | {first: replace(runs[first], metrics={"test/error": value})}
        text = words(text_of(render(compare(cells, damaged), "table"), 400))
        assert f"{ZETA.label}: 1 of 3 trainings failed (1 to 91 % of all would): not judged." in text


def test_remarks_of_one_fold_and_of_several() -> None:
    folds = [DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in range(3)]
    values = {ERM: (0.2, 0.3, 0.25), MIXUP: (0.1, 0.21, 0.14)}
    one, several = (make_cells(ERM, MIXUP, seeds=(0, 1, 2), datasets=folds[:number]) for number in (1, 3))
    alone = said(one, values)
    assert "better than erm on fold 0 alone: mixup(alpha=1.0) by -10.00 points" in alone
    assert "standard deviation over seeds (" in alone
    assert "each counts once" not in alone
    runs = runs_with(several, values)
    for number, cell in enumerate(several):
        runs[cell.key] = make_run(cell, {"test/error": runs[cell.key].metrics["test/error"] + number / 1000})
    text = words(text_of(render(compare(several, runs), "table"), 400))
    assert "each counts once" in text
    assert "standard deviation over seeds and folds (" in text
    assert "alone" not in text


def test_folds_widen_the_intervals_by_what_they_share() -> None:
    """The variance is that of n folds, times 1 + n / (folds - 1)."""
    folds = [DatasetSpec.model_validate({"name": "digits", "folds": 5, "fold": fold}) for fold in range(5)]
    cells = make_cells(ERM, MIXUP, seeds=(0,), datasets=folds)
    values = {cell.key: 0.1 + int(cell.key[:6], 16) / 16**6 / 20 for cell in cells}
    runs = {cell.key: make_run(cell, {"test/error": values[cell.key]}) for cell in cells}
    (analysis,) = compare(cells, runs).analyses.values()
    table = {
        augment.label: {cell.replicate.fold or 0: values[cell.key] for cell in cells if cell.augment == augment}
        for augment in (ERM, MIXUP)
    }
    plain = analyse(table, baseline="erm", higher_is_better=False).rows[MIXUP.label]
    widened = analysis.rows[MIXUP.label]
    assert widened.difference == pytest.approx(plain.difference)
    ratio = (widened.high - widened.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(math.sqrt(1 + 5 / 4))


def test_remarks_where_there_is_nothing_to_compare() -> None:
    cells = make_cells(MIXUP, ZETA)
    nothing = "digits / convnet: fewer than two rows have values, so there is nothing to compare: zetasweep run trains"
    assert nothing in said(cells, {})
    assert "nothing to compare: add another to augment." in said(make_cells(ZETA), {ZETA: (0.1, 0.1, 0.2)})
    assert nothing in said(cells, {ZETA: (0.1, 0.1, 0.2)})
    nan = said(cells, {MIXUP: (0.1, math.nan, 0.2), ZETA: (math.nan,) * 3})
    assert f"{MIXUP.label}: a value is not finite: not judged." in nan
    no_erm = said(make_cells(ERM, MIXUP, ZETA), {MIXUP: (0.1, 0.12, 0.11), ZETA: (0.1, 0.11, 0.13)})
    assert "erm is the baseline and has no values here, so nothing is compared with it." in no_erm


def test_a_confirmation_is_completed_by_confirm_whatever_the_file_says() -> None:
    """`run` would answer that nothing is missing, and seeds of the file are not those of a confirmation."""
    cells = make_cells(ERM, MIXUP, seeds=(0, 1))
    nothing = said(cells, {}, confirmed=())
    assert "nothing to compare: zetasweep confirm trains what is missing." in nothing
    assert "zetasweep run" not in nothing
    one = said(cells, {ERM: (0.1,), MIXUP: (0.2,)}, confirmed=())
    assert "Three seeds tell something: add seeds by zetasweep confirm --seeds N." in one
    assert "nothing to compare: zetasweep confirm --again --top N" in said(make_cells(MIXUP), {}, confirmed=())
    runs = {cell.key: make_run(cell, {"test/error": 0.1}, status="trained") for cell in cells}
    text = " ".join(remarks(compare(cells, runs, confirmed=())))
    assert "whose results are in storage: zetasweep confirm delivers them, without training." in text


def test_many_rows_are_counted_and_not_all_named() -> None:
    many = [AugmentSpec(name="mixup", params={"alpha": round(0.1 * number, 1)}) for number in range(1, 13)]
    cells = make_cells(ERM, *many)
    text = said(cells, {ERM: (0.1, 0.11, 0.12)} | dict.fromkeys(many, (0.1, 0.12, 0.11)))
    assert "not told apart from erm: 12 of 12 rows, see --against." in text
    better = said(cells, {ERM: (0.9, 0.91, 0.92)} | dict.fromkeys(many, (0.1, 0.12, 0.11)) | {many[-1]: (0.01,) * 3})
    assert f"better than erm: {many[-1].label} by -90.00 points (" in better, "of many the largest differences"
    assert "and 4 more, see --against." in better


def test_loss_is_not_a_percentage() -> None:
    cells = make_cells(ERM, MIXUP)
    comparison = compare(
        cells, runs_with(cells, {ERM: (0.5, 0.6), MIXUP: (1.5, 1.7, 1.6)}, metric="test/loss"), metric="loss"
    )
    text = words(text_of(render(comparison, "table")))
    assert "test/loss, exploratory: mean" in text
    assert "mixup(alpha=1.0) 1.6000 ± 0.1000 n=3" in text
    assert "points" not in text


def test_nothing_is_best_by_the_loss_in_training() -> None:
    """It is of what each augmentation made of images and labels."""
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.1,) * 3, MIXUP: (1.5, 1.6, 1.7)}, metric="train/loss")
    comparison = compare(cells, runs, metric="train/loss")
    assert {entry.standing for entry in comparison.entries.values()} == {"not judged"}
    text = words(text_of(render(comparison, "table")))
    assert "the rows cannot be compared by it" in text
    assert "1.6000 ± 0.1000 n=3" in text
    assert "better" not in text
    assert "complete" not in text


def test_a_value_that_is_not_finite_is_shown() -> None:
    cells = make_cells(ERM)
    text = words(text_of(render(compare(cells, runs_with(cells, {ERM: (0.1, math.nan, 0.1)})), "table")))
    assert "erm nan n=3" in text


def test_a_combination_that_is_not_planned_is_no_missing_cell() -> None:
    cells = make_cells(ERM, MIXUP, models=("convnet", "resnet18"))
    partial = [cell for cell in cells if (cell.model.name, cell.augment) != ("resnet18", MIXUP)]
    text = words(text_of(render(compare(partial, {}), "table")))
    assert text.count("missing n=0/3") == 3
    assert text.count("not planned") == 1
