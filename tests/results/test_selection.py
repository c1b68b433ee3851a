"""Selection looks at validation over all seeds, and at nothing else."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console
from shown import text_of
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, make_cells, make_run, runs_with

from orchestrator.cli.select import _to_register
from orchestrator.errors import UserError
from orchestrator.experiment import AugmentSpec
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.records import CellStatus
from orchestrator.results import compare, render_selection, select

VALUES = {ERM: (0.30, 0.30, 0.30), MIXUP: (0.20, 0.10, 0.24), ZETA: (0.25, 0.05, 0.30)}


def test_the_best_mean_wins_not_the_best_seed() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    (selection,) = select(cells, runs_with(cells, VALUES, metric="best/error"))
    assert selection.best is not None
    assert selection.cell is not None
    assert [candidate.cells[0].augment for candidate in selection.ranked] == [MIXUP, ZETA, ERM]
    assert selection.best.mean == pytest.approx(0.18)
    assert selection.best.std == pytest.approx(0.0721, abs=1e-4)
    assert (selection.dataset, selection.metric.key, selection.not_eligible) == ("digits", "best/error", ())


def test_the_run_is_that_of_the_best_seed_on_validation() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, VALUES, metric="best/error")
    (selection,) = select(cells, runs)
    assert selection.cell is not None
    assert (selection.cell.augment, selection.cell.seed) == (MIXUP, 1)
    assert selection.run_id == runs[selection.cell.key].run_id
    assert selection.model_uri == runs[selection.cell.key].model_uri


def test_test_values_change_nothing_but_what_is_said_about_test() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    plain = runs_with(cells, VALUES, metric="best/error")
    tested = {
        cell.key: replace(
            plain[cell.key],
            metrics={**plain[cell.key].metrics, "test/error": 0.9 if cell.augment == MIXUP else 0.01 * cell.seed},
        )
        for cell in cells
    }
    (without,), (with_test,) = select(cells, plain), select(cells, tested)
    assert (with_test.cell, with_test.run_id) == (without.cell, without.run_id)
    assert with_test.ranked == without.ranked
    assert (without.test_mean, with_test.test_mean) == (None, pytest.approx(0.9))


def test_the_test_is_told_of_each_seed_with_the_choice_made_by_the_others() -> None:
    cells = make_cells(ERM, MIXUP)
    values = {ERM: (0.30, 0.10, 0.30), MIXUP: (0.20, 0.30, 0.10)}
    plain = runs_with(cells, values, metric="best/error")
    # Each seed's test is its validation: what a seed is lucky in must not be chosen by that.
    tested = {key: {"test/error": run.metrics["best/error"]} for key, run in plain.items()}
    runs = {key: replace(run, metrics=run.metrics | tested[key]) for key, run in plain.items()}
    (selection,) = select(cells, runs)
    # Without seed 0 the two are equal and erm is the first, without 1 mixup is better, without 2 erm is.
    assert selection.test_mean == pytest.approx((0.30 + 0.30 + 0.30) / 3)
    (alone,) = select(make_cells(ERM, MIXUP, seeds=[0]), runs)
    assert alone.test_mean is None


def test_how_sure_the_choice_is() -> None:
    cells = make_cells(ERM, MIXUP, ZETA, seeds=range(5))
    values = {
        ERM: (0.300, 0.301, 0.299, 0.302, 0.300),
        MIXUP: (0.101, 0.100, 0.102, 0.100, 0.099),
        ZETA: (0.100, 0.102, 0.100, 0.099, 0.1),
    }
    runs = runs_with(cells, values, metric="best/error")
    (selection,) = select(cells, runs)
    assert selection.may_be_best is not None
    assert [candidate.cells[0].augment for candidate in selection.may_be_best] == [MIXUP, ZETA]
    # What is left of a configuration with a failed training flatters it.
    failed = next(cell for cell in cells if (cell.augment, cell.seed) == (MIXUP, 4))
    (selection,) = select(cells, runs | {failed.key: replace(runs[failed.key], status="failed")})
    assert selection.may_be_best is not None
    assert [candidate.cells[0].augment for candidate in selection.may_be_best] == [ZETA]
    assert [candidate.num_failed for candidate in selection.not_eligible] == [1]
    (selection,) = select(make_cells(ERM, MIXUP, seeds=[0]), runs)
    assert selection.may_be_best is None


@pytest.mark.parametrize(
    ("num_images", "metric", "kept"),
    [
        ({"val": 100}, "error", [ERM, MIXUP]),
        ({"val": 10_000, "test": 100}, "error", [ERM]),
        ({"val": 100}, "loss", [ERM]),
    ],
)
def test_what_is_equal_is_no_surer_than_whole_images_of_validation(
    num_images: dict[str, int], metric: str, kept: list[AugmentSpec]
) -> None:
    """One image of a hundred, three times alike, tells as little of a choice as `compare` says of a table."""
    cells = make_cells(ERM, MIXUP)
    found = runs_with(cells, {ERM: (0.01,) * 3, MIXUP: (0.02,) * 3}, metric=f"best/{metric}")
    runs = {key: replace(run, num_images=num_images) for key, run in found.items()}
    (selection,) = select(cells, runs, metric=metric)
    assert selection.may_be_best is not None
    assert [candidate.cells[0].augment for candidate in selection.may_be_best] == kept
    (column,) = (comparison := compare(cells, runs, metric=f"best/{metric}")).columns
    assert comparison.analyses[column].may_be_best == tuple(augment.label for augment in kept)


def test_direction_of_the_metric() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    (selection,) = select(cells, runs_with(cells, VALUES, metric="best/accuracy"), metric="accuracy")
    assert selection.cell is not None
    assert selection.cell.augment == ERM
    high = {ERM: (0.7, 0.9, 0.8)}
    cells = make_cells(ERM)
    (selection,) = select(cells, runs_with(cells, high, metric="best/accuracy"), metric="best/accuracy")
    assert selection.cell is not None
    assert selection.cell.seed == 1


@pytest.mark.parametrize("status", [None, "running", "failed", "interrupted"])
def test_a_configuration_that_lacks_a_seed_is_not_eligible_and_listed(status: CellStatus | None) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.3, 0.3, 0.3), MIXUP: (0.1, 0.1, 0.1)}, metric="best/error")
    last = next(cell for cell in cells if (cell.augment, cell.seed) == (MIXUP, 2))
    if status is None:
        del runs[last.key]
    else:
        runs[last.key] = replace(runs[last.key], status=status)
    (selection,) = select(cells, runs)
    assert selection.cell is not None
    assert selection.cell.augment == ERM
    (left_out,) = selection.not_eligible
    assert (left_out.cells[0].augment, [replicate.seed for replicate in left_out.values], len(left_out.cells)) == (
        MIXUP,
        [0, 1],
        3,
    )


def test_a_value_that_is_not_finite_is_not_eligible() -> None:
    cells = make_cells(ERM, MIXUP)
    values = {ERM: (0.3, 0.3, 0.3), MIXUP: (0.1, math.nan, 0.1)}
    (selection,) = select(cells, runs_with(cells, values, metric="best/error"))
    assert [candidate.cells[0].augment for candidate in selection.not_eligible] == [MIXUP]


def test_nothing_eligible() -> None:
    cells = make_cells(ERM, MIXUP)
    (selection,) = select(cells, runs_with(cells, {ERM: (0.3,)}, metric="best/error"))
    assert (selection.best, selection.cell, selection.run_id, selection.model_uri) == (None, None, None, None)
    assert len(selection.not_eligible) == 2


def test_one_selection_for_each_data_set_over_all_its_models() -> None:
    small = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
    cells = make_cells(ERM, MIXUP, datasets=[DIGITS, small], models=("convnet", "resnet18"))
    wanted = {DIGITS: ("resnet18", ERM), small: ("convnet", MIXUP)}
    runs = {
        cell.key: make_run(
            cell, {"best/error": 0.1 if wanted[cell.dataset] == (cell.model.name, cell.augment) else 0.2}
        )
        for cell in cells
    }
    first, second = select(cells, runs)
    assert (first.dataset, second.dataset) == (DIGITS.label, small.label)
    for selection, dataset in ((first, DIGITS), (second, small)):
        assert selection.cell is not None
        assert (selection.cell.model.name, selection.cell.augment) == wanted[dataset]
        assert len(selection.ranked) == 4


def test_equal_means_keep_the_experiments_order() -> None:
    cells = make_cells(MIXUP, ERM)
    (selection,) = select(cells, runs_with(cells, {ERM: (0.1, 0.2, 0.3), MIXUP: (0.3, 0.2, 0.1)}, metric="best/error"))
    assert [candidate.cells[0].augment for candidate in selection.ranked] == [MIXUP, ERM]


@pytest.mark.parametrize("metric", ["test/error", "val/error", "train/loss"])
def test_any_stage_but_validation_at_the_tested_epoch_is_refused(metric: str) -> None:
    with pytest.raises(UserError, match=rf"metric={metric}: select looks at validation"):
        select(make_cells(ERM), {}, metric=metric)


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Did you mean accuracy\?"):
        select(make_cells(ERM), {}, metric="acuracy")


def test_cells_that_saw_different_images_are_said_to_be_not_comparable() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = runs_with(cells, {ERM: (0.1, 0.2, 0.3), MIXUP: (0.3, 0.2, 0.2)}, metric="best/error")
    same = {key: replace(run, split_hash="a") for key, run in runs.items()}
    assert not select(cells, same)[0].mixed_data
    (changed,) = select(cells, same | {cells[-1].key: replace(same[cells[-1].key], split_hash="b")})
    assert changed.mixed_data
    console = Console(width=200, file=io.StringIO())
    console.print(render_selection([changed]))
    assert "they saw different images or labels: not comparable" in console.file.getvalue()
    with pytest.raises(UserError, match="--register best: the cells of digits saw different images"):
        _to_register([changed], "best")


def test_rows_of_one_fold_and_of_several_are_not_compared_seed_with_fold() -> None:
    """A row with a value in a single fold has one fold, and not a seed that happens to have its number."""
    folds = [DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in range(3)]
    cells = make_cells(ERM, MIXUP, seeds=(0, 1, 2), datasets=folds)
    value = {cell.key: 0.1 + 0.01 * (cell.dataset.fold or 0) + 0.1 * (cell.augment == MIXUP) for cell in cells}
    kept = [cell for cell in cells if cell.augment == ERM or cell.dataset.fold == 2]
    runs = {cell.key: make_run(cell, {"best/error": value[cell.key] + 0.001 * cell.seed}) for cell in kept}
    (selection,) = select(cells, runs)
    # By seed the second row would have three values, one for each fold of the first.
    assert selection.may_be_best is None


def test_a_choice_is_not_sure_while_others_are_not_judged_or_saw_other_images() -> None:
    cells = make_cells(ERM, MIXUP, ZETA)
    runs = runs_with(cells, {ERM: (0.3, 0.31, 0.3), MIXUP: (0.1, 0.11, 0.1)}, metric="best/error")
    alone = (
        "convnet, mixup(alpha=1.0) alone of 2 that are judged is not ruled out on validation; 1 of 3 were not judged"
    )
    assert alone in text_of(render_selection(select(cells, runs)), 300)
    mixed = {key: replace(run, split_hash=key[0]) for key, run in runs.items()}
    assert "how sure: not known, since the data set was changed" in text_of(render_selection(select(cells, mixed)), 300)
