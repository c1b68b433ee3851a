"""Selection looks at validation over all seeds, and at nothing else."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, make_cells, make_run, runs_with

from orchestrator.cli.select import _model_to_register
from orchestrator.errors import UserError
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.records import CellStatus
from orchestrator.results import render_selection, select

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
    assert math.isnan(without.test_mean)
    assert (with_test.test_mean, with_test.test_std) == (pytest.approx(0.9), pytest.approx(0.0))


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
        cell.key: make_run(cell, {"best/error": 0.1 if wanted[cell.dataset] == (cell.model, cell.augment) else 0.2})
        for cell in cells
    }
    first, second = select(cells, runs)
    assert (first.dataset, second.dataset) == (DIGITS.label, small.label)
    for selection, dataset in ((first, DIGITS), (second, small)):
        assert selection.cell is not None
        assert (selection.cell.model, selection.cell.augment) == wanted[dataset]
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
        _model_to_register([changed], "best")
