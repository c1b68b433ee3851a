"""What the comparison says about complete, partial and missing rows; nothing may be dropped or flattered."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, make_run, runs_with

from orchestrator.errors import UserError
from orchestrator.experiment import Comparing, Replicate
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.records import CellStatus
from orchestrator.results.comparison import Column, Comparison, Entry, Standing, check_comparing, compare
from orchestrator.results.metric import resolve_metric
from orchestrator.results.wording import remarks

COLUMN = Column("digits", "convnet")
ALL = {ERM: (0.06, 0.07, 0.08), MIXUP: (0.05, 0.07, 0.06), ZETA: (0.041, 0.045, 0.04)}

SEEDS = (Replicate(0), Replicate(1), Replicate(2))


def entry(comparison: Comparison, label: str) -> Entry:
    return comparison.entries[label, COLUMN]


def rows_that(standing: Standing, comparison: Comparison, column: Column = COLUMN) -> list[str]:
    return [row for row in comparison.rows if comparison.entries[row, column].standing == standing]


def test_rows_and_columns_stand_in_the_experiments_order() -> None:
    other = DatasetSpec.model_validate({"name": "cifar10", "num_train": 1000})
    cells = make_cells(ZETA, ERM, MIXUP, datasets=[other, DIGITS], models=("resnet18", "convnet"))
    comparison = compare(cells, {})
    assert comparison.rows == (ZETA.label, "erm", MIXUP.label)
    assert [column.label for column in comparison.columns] == [
        f"{dataset.label} / {model}" for dataset in (other, DIGITS) for model in ("resnet18", "convnet")
    ]
    assert set(comparison.entries) == {(row, column) for row in comparison.rows for column in comparison.columns}


def test_two_options_of_one_data_set_are_two_columns() -> None:
    small = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
    assert len(compare(make_cells(ERM, datasets=[DIGITS, small]), {}).columns) == 2


def test_mean_and_standard_deviation() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, ALL))
    erm = entry(comparison, "erm")
    assert (erm.mean, erm.std, erm.n, erm.planned) == (
        pytest.approx(0.07),
        pytest.approx(0.01),
        3,
        SEEDS,
    )
    assert erm.values == {Replicate(0): 0.06, Replicate(1): 0.07, Replicate(2): 0.08}
    assert comparison.without_value == {}


CLEAR = {ERM: (0.30, 0.31, 0.32), MIXUP: (0.20, 0.21, 0.22), ZETA: (0.041, 0.045, 0.04)}


def test_a_single_row_that_is_not_ruled_out_is_the_best() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, CLEAR))
    assert rows_that("best", comparison) == [ZETA.label]
    assert rows_that("ruled out", comparison) == ["erm", MIXUP.label]
    turned = compare(cells, runs_with(cells, CLEAR, metric="test/accuracy"), metric="accuracy")
    assert rows_that("best", turned) == ["erm"]


def test_of_several_that_are_not_ruled_out_none_is_the_best() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, CLEAR | {MIXUP: (0.042, 0.043, 0.044)}))
    assert rows_that("may be best", comparison) == [MIXUP.label, ZETA.label]
    assert rows_that("best", comparison) == []


def test_a_row_that_lacks_a_seed_is_judged_and_never_starred() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, {**CLEAR, ZETA: (0.01, 0.01)}))
    zeta = entry(comparison, ZETA.label)
    assert (zeta.n, zeta.complete, zeta.mean) == (2, False, pytest.approx(0.01))
    assert rows_that("may be best", comparison) == [ZETA.label]
    assert rows_that("best", comparison) == []
    assert comparison.without_value == {"missing": 1}


def test_a_row_with_a_failed_training_is_shown_and_not_judged() -> None:
    """Its best trainings are left, which flatter it."""
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {**CLEAR, ZETA: (0.01, 0.01)})
    failed = cells[-1]
    assert failed.augment == ZETA
    runs[failed.key] = replace(make_run(failed, {}), status="failed")
    comparison = compare(cells, runs)
    assert (entry(comparison, ZETA.label).num_failed, entry(comparison, ZETA.label).n) == (1, 2)
    assert rows_that("not judged", comparison) == [ZETA.label]
    # It may be better than all that are judged.
    assert rows_that("best", comparison) == []
    assert rows_that("may be best", comparison) == [MIXUP.label]


def test_nothing_has_run() -> None:
    comparison = compare(make_cells(ERM, MIXUP), {})
    assert [entry.n for entry in comparison.entries.values()] == [0, 0]
    assert all(math.isnan(entry.mean) and entry.std is None for entry in comparison.entries.values())
    assert (comparison.without_value, comparison.num_cells) == ({"missing": 6}, 6)


def test_each_column_has_its_own_best() -> None:
    cells = make_cells(ERM, MIXUP, models=("convnet", "resnet18"))
    runs = {
        cell.key: make_run(
            cell, {"test/error": 0.1 if (cell.augment == ERM) == (cell.model.name == "convnet") else 0.2}
        )
        for cell in cells
    }
    comparison = compare(cells, runs)
    assert rows_that("best", comparison, Column("digits", "convnet")) == ["erm"]
    assert rows_that("best", comparison, Column("digits", "resnet18")) == [MIXUP.label]


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_an_unfinished_cell_has_no_value_even_where_an_epoch_left_one(status: CellStatus) -> None:
    cells = make_cells(ERM)
    runs = runs_with(cells, {ERM: (0.1, 0.2, 0.3)}, metric="val/error")
    runs[cells[2].key] = replace(runs[cells[2].key], status=status)
    comparison = compare(cells, runs, metric="val/error")
    assert entry(comparison, "erm").values == {Replicate(0): 0.1, Replicate(1): 0.2}
    assert comparison.without_value == {status: 1}


def test_a_finished_cell_without_the_metric_is_counted_as_such() -> None:
    cells = make_cells(ERM)
    comparison = compare(cells, runs_with(cells, {ERM: (0.1, 0.2, 0.3)}), metric="test/loss")
    assert comparison.without_value == {"done": 3}


def test_a_value_that_is_not_finite_is_kept_and_never_best() -> None:
    cells = make_cells(ERM, MIXUP)
    comparison = compare(cells, runs_with(cells, {ERM: (0.1, math.nan, 0.1), MIXUP: (0.4, 0.5, 0.6)}))
    erm = entry(comparison, "erm")
    assert (erm.n, erm.complete) == (3, False)
    assert math.isnan(erm.mean)
    assert erm.standing == "not judged"


def test_every_row_is_compared_with_erm() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, CLEAR))
    verdicts = comparison.analyses[COLUMN].rows
    assert [(row, verdict.verdict) for row, verdict in verdicts.items()] == [
        (MIXUP.label, "better"),
        (ZETA.label, "better"),
    ]
    assert verdicts[MIXUP.label].difference == pytest.approx(-0.1)


@pytest.mark.parametrize("wanted", [MIXUP.label, "mixup"])
def test_any_row_may_be_the_baseline(wanted: str) -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, CLEAR), baseline=wanted)
    assert comparison.baseline == MIXUP.label
    assert list(comparison.analyses[COLUMN].rows) == ["erm", ZETA.label]
    assert comparison.analyses[COLUMN].rows["erm"].verdict == "worse"


def test_an_unknown_baseline_names_the_rows() -> None:
    with pytest.raises(UserError, match="baseline = cutmix: there is no such row") as caught:
        compare(make_cells(ERM, MIXUP), {}, baseline="cutmix")
    assert caught.value.allowed == f"one of the rows: erm, {MIXUP.label}"
    with pytest.raises(UserError, match="2 rows are zeta_mixup"):
        compare(make_cells(ZETA, ZETA_BATCH), {}, baseline="zeta_mixup")


def test_a_margin_is_in_points_for_shares_and_in_the_metrics_unit_otherwise() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.100, 0.101, 0.102), MIXUP: (0.1001, 0.1011, 0.1019)})
    for margin, verdict in ((1.0, "equal within margin"), (0.01, "not told apart")):
        comparison = compare(cells, runs, comparing=Comparing(margin=margin))
        assert comparison.analyses[COLUMN].rows[MIXUP.label].verdict == verdict
    losses = runs_with(cells, {ERM: (1.0, 1.01, 1.02), MIXUP: (1.001, 1.011, 1.019)}, metric="test/loss")
    loss = compare(cells, losses, comparing=Comparing(metric="test/loss", margin=0.1))
    assert loss.analyses[COLUMN].rows[MIXUP.label].verdict == "equal within margin"


def test_a_margin_is_of_the_metric_that_decides_and_any_other_is_exploratory() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (1.0, 1.01, 1.02), MIXUP: (1.001, 1.011, 1.019)}, metric="test/loss")
    loss = compare(cells, runs, metric="loss", comparing=Comparing(margin=10))
    assert (loss.is_exploratory, loss.margin) == (True, None)
    assert not compare(cells, runs, metric="error").is_exploratory


@pytest.mark.parametrize("comparing", [{"metric": "test/eror"}, {"baseline": "cutmix"}])
def test_what_the_file_says_of_comparing_is_checked_before_anything_is_trained(comparing: dict[str, str]) -> None:
    check_comparing(Comparing(), make_cells(ERM, MIXUP), file=Path("mine.yaml"))
    with pytest.raises(UserError, match=rf"mine.yaml: compare.{next(iter(comparing))} ?= ?"):
        check_comparing(Comparing.model_validate(comparing), make_cells(ERM, MIXUP), file=Path("mine.yaml"))


def test_without_erm_there_is_no_baseline() -> None:
    cells = make_cells(MIXUP, ZETA)
    comparison = compare(cells, runs_with(cells, CLEAR))
    assert comparison.baseline is None
    assert comparison.analyses[COLUMN].rows == {}
    assert rows_that("best", comparison) == [ZETA.label]


def test_one_seed_tells_nothing() -> None:
    cells = make_cells(ERM, MIXUP, seeds=(7,))
    comparison = compare(cells, runs_with(cells, {ERM: (0.5,), MIXUP: (0.1,)}))
    assert rows_that("not judged", comparison) == ["erm", MIXUP.label]
    assert comparison.analyses[COLUMN].rows[MIXUP.label].verdict == "too few seeds"
    assert entry(comparison, "erm").std is None


def test_runs_of_other_cells_do_not_count() -> None:
    cells = make_cells(ERM, seeds=(0, 1, 2, 3))
    runs = runs_with(cells, {ERM: (0.1, 0.2, 0.3, 0.9)})
    assert compare(cells[:3], runs) == compare(cells[:3], {cell.key: runs[cell.key] for cell in cells[:3]})


def test_the_same_cell_twice_is_refused() -> None:
    cells = make_cells(ERM)
    with pytest.raises(ValueError, match=cells[0].key):
        compare([*cells, cells[0]], {})


@pytest.mark.parametrize(
    ("name", "key", "higher_is_better", "is_fraction"),
    [
        ("error", "test/error", False, True),
        ("test/accuracy", "test/accuracy", True, True),
        ("val/loss", "val/loss", False, False),
        ("best/auroc", "best/auroc", True, True),
        ("train/loss", "train/loss", False, False),
        ("average_precision", "test/average_precision", True, True),
        ("best/sensitivity_at_specificity_95", "best/sensitivity_at_specificity_95", True, True),
        ("recall/mel", "test/recall/mel", True, True),
        ("test/auroc/mel", "test/auroc/mel", True, True),
        ("specificity_at_sensitivity_80/mel", "test/specificity_at_sensitivity_80/mel", True, True),
        ("group/error", "test/group/error", False, True),
        ("test/group/loss", "test/group/loss", False, False),
        ("test/group/average_precision/mel", "test/group/average_precision/mel", True, True),
    ],
)
def test_metric_names(name: str, key: str, higher_is_better: bool, is_fraction: bool) -> None:
    metric = resolve_metric(name)
    assert (metric.key, metric.higher_is_better, metric.is_fraction) == (key, higher_is_better, is_fraction)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("eror", "error"),
        ("test/acuracy", "test/accuracy"),
        ("test/acc", "test/accuracy"),
        ("f1", "f1_micro"),
        ("test/recall/", "test/recall/CLASS"),
        ("train/error", None),
        ("tset/error", "test/error"),
        ("best/epoch", None),
        ("", None),
        ("/error", "error"),
        ("test/val/error", None),
        ("val/sensitivity_at_specificity_95", None),
        ("sensitivity_at_95_specificity", "sensitivity_at_specificity_95"),
        ("test/auroc/", "test/auroc/CLASS"),
        ("test/error/mel", None),
        ("group/auroc/", "test/group/auroc"),
        ("best/group/error", "test/group/error"),
    ],
)
def test_an_unknown_metric_names_the_nearest(name: str, nearest: str | None) -> None:
    with pytest.raises(UserError) as caught:
        compare(make_cells(ERM), {}, metric=name)
    assert f"metric={name} " in str(caught.value)
    assert "balanced_accuracy" in str(caught.value)
    if nearest is not None:
        assert f"Did you mean {nearest}?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("test/recal/mel", "test/recall/mel"),
        ("recall/mell", "test/recall/mel"),
        ("test/recall/NEVUS", "test/recall/nevus"),
        ("best/recall/nevus", "test/recall/nevus"),
        ("test/recall/wasp", None),
        ("test/auroc/mel", None),
        ("group/recall/mel", "test/recall/mel"),
    ],
)
def test_an_unknown_class_names_the_nearest_that_the_runs_have(name: str, nearest: str | None) -> None:
    cells = make_cells(ERM, seeds=(0,))
    runs = {cells[0].key: make_run(cells[0], {"test/recall/mel": 0.5, "test/recall/nevus": 0.7})}
    assert entry(compare(cells, runs, metric="recall/mel"), "erm").mean == 0.5
    with pytest.raises(UserError) as caught:
        compare(cells, runs, metric=name)
    assert "test/METRIC/CLASS (CLASS: mel, nevus; METRIC: recall)." in str(caught.value)
    if nearest is not None:
        assert f"Did you mean {nearest}?" in str(caught.value)


def test_cells_that_saw_different_images_are_not_comparable() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: [0.1, 0.2, 0.3], MIXUP: [0.1, 0.2, 0.4]})
    same = {key: replace(run, split_hash="a") for key, run in runs.items()}
    assert compare(cells, same).mixed_data == ()
    pixels = {key: replace(run, pixel_hash="c") for key, run in same.items()}
    assert compare(cells, pixels).mixed_data == ()
    older = pixels | {cells[0].key: same[cells[0].key]}
    assert compare(cells, older).mixed_data == ()


@pytest.mark.parametrize("change", [{"split_hash": "b"}, {"pixel_hash": "d"}], ids=["names", "pixels"])
def test_a_column_of_different_images_has_no_verdict(change: dict[str, str]) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: [0.1, 0.2, 0.3], MIXUP: [0.1, 0.2, 0.4]})
    same = {key: replace(run, split_hash="a", pixel_hash="c") for key, run in runs.items()}
    changed = same | {cells[-1].key: replace(same[cells[-1].key], **change)}  # type: ignore[arg-type]
    comparison = compare(cells, changed)
    assert comparison.mixed_data == comparison.columns
    assert any("not comparable" in line for line in remarks(comparison))
    assert comparison.analyses == {}
    assert {each.standing for each in comparison.entries.values()} == {"not judged"}
