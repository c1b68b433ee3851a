"""Each augmentation at its best by validation: which seeds decide, what is left out, and what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from sweep_samples import ERM, MIXUP, make_cells, make_run, trained_with

from orchestrator.errors import UserError
from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results import compare, remarks
from orchestrator.results.best_of import settings_named

Values = Mapping[tuple[str, float], Sequence[tuple[float, float]]]
LRS = (0.05, 0.1)


def swept(lrs: Sequence[float] = LRS, **options: object) -> list[Cell]:
    return [cell for lr in lrs for cell in trained_with(make_cells(ERM, MIXUP), lr=lr, **options)]


def finished(cells: Sequence[Cell], values: Values) -> dict[str, CellRun]:
    """Runs with validation and test error by augmentation and learning rate, by seed."""
    runs = {}
    for cell in cells:
        of_seeds = values.get((cell.augment.name, cell.train.lr), ())
        if cell.seed < len(of_seeds):
            validation, test = of_seeds[cell.seed]
            runs[cell.key] = make_run(cell, {"best/error": validation, "test/error": test})
    return runs


VALUES: Values = {
    ("erm", 0.05): [(0.20, 0.11), (0.21, 0.12), (0.22, 0.13)],
    ("erm", 0.1): [(0.10, 0.31), (0.11, 0.32), (0.12, 0.33)],
    ("mixup", 0.05): [(0.10, 0.21), (0.11, 0.22), (0.12, 0.23)],
    ("mixup", 0.1): [(0.20, 0.01), (0.21, 0.02), (0.22, 0.03)],
}


def test_validation_chooses_and_the_test_does_not() -> None:
    cells = swept()
    comparison = compare(cells, finished(cells, VALUES), best_of_settings=["lr"])
    assert comparison.rows == ("erm", MIXUP.label)
    (column,) = comparison.columns
    assert [comparison.entries[row, column].mean for row in comparison.rows] == pytest.approx([0.32, 0.22])
    assert comparison.choices is not None
    assert [(choice.row, choice.settings) for choice in comparison.choices.made] == [
        ("erm", "lr=0.1"),
        (MIXUP.label, "lr=0.05"),
    ]
    said = remarks(comparison)
    assert said[0] == (
        "Each row is shown with the lr that best/error (validation, mean over the same seeds) chose, not the test:"
    )
    assert said[1:3] == [
        "digits / convnet: lr=0.1 of 2 settings: erm.",
        f"digits / convnet: lr=0.05 of 2 settings: {MIXUP.label}.",
    ]
    assert "zetasweep confirm tells without that" in said[3]
    assert "to choose from" not in " ".join(said)
    assert comparison.num_cells == 6, "the cells that were not chosen lack nothing"


def test_only_seeds_that_all_settings_have_decide() -> None:
    """A setting that has its lucky seeds alone would win."""
    cells = swept()
    values = dict(VALUES) | {("erm", 0.1): [(0.30, 0.3)], ("erm", 0.05): [(0.31, 0.3), (0.01, 0.3), (0.01, 0.3)]}
    comparison = compare(cells, finished(cells, values), best_of_settings=["train.lr"])
    assert comparison.choices is not None
    assert comparison.choices.made[0].settings == "lr=0.1"


def test_a_setting_with_a_failed_training_is_not_chosen_and_that_is_said() -> None:
    cells = swept()
    runs = finished(cells, VALUES)
    key = next(cell.key for cell in cells if cell.augment == ERM and cell.train.lr == 0.1)
    runs[key] = replace(runs[key], status="failed")
    comparison = compare(cells, runs, best_of_settings=["lr"])
    assert comparison.choices is not None
    assert comparison.choices.made[0].settings == "lr=0.05"
    assert "1 setting was not chosen among, since a training failed with it." in remarks(comparison)


def test_where_a_training_failed_with_each_setting_none_is_said_to_be_left_out() -> None:
    cells = swept()
    runs = finished(cells, VALUES)
    for cell in cells:
        if (cell.augment, cell.seed) == (ERM, 2):
            runs[cell.key] = replace(runs[cell.key], status="failed")
    comparison = compare(cells, runs, best_of_settings=["lr"])
    assert comparison.choices is not None
    assert (comparison.choices.made[0].settings, comparison.choices.made[0].num_failed) == ("lr=0.1", 0)
    assert "not chosen among" not in " ".join(remarks(comparison))


def test_rows_with_unlike_numbers_of_settings_are_warned_of() -> None:
    """The best of many is better by luck alone."""
    cells = [cell for cell in swept() if (cell.augment, cell.train.lr) != (ERM, 0.1)]
    said = " ".join(remarks(compare(cells, finished(cells, VALUES), best_of_settings=["lr"])))
    assert "digits / convnet: lr=0.05 of 1 setting: erm." in said
    assert "Rows had 1 to 2 settings to choose from: those with more are favoured" in said


def test_several_settings_are_chosen_together_and_others_stay_rows() -> None:
    cells = [*swept(weight_decay=0.0, epochs=5), *swept(weight_decay=0.1, epochs=5), *swept(epochs=9)]
    runs = {
        cell.key: make_run(cell, {"best/error": cell.train.lr + cell.train.weight_decay, "test/error": 0.1})
        for cell in cells
    }
    comparison = compare(cells, runs, best_of_settings=["lr", "train.weight_decay"])
    assert comparison.rows == ("erm, epochs=5", f"{MIXUP.label}, epochs=5", "erm, epochs=9", f"{MIXUP.label}, epochs=9")
    assert comparison.choices is not None
    assert comparison.choices.made[0].settings == "lr=0.05, weight_decay=0.0"


def test_the_metric_of_the_table_chooses_where_validation_has_it() -> None:
    cells = swept()
    runs = finished(cells, VALUES)
    for cell in cells:
        more = {"test/auroc": 0.5, "best/auroc": cell.train.lr, "test/recall/mel": 0.5}
        runs[cell.key] = replace(runs[cell.key], metrics=runs[cell.key].metrics | more)
    for metric, by, settings in (("auroc", "best/auroc", "lr=0.1"), ("test/recall/mel", "best/error", "lr=0.05")):
        comparison = compare(cells, runs, metric=metric, best_of_settings=["lr"])
        assert comparison.choices is not None
        assert comparison.choices.metric.key == by
        assert comparison.choices.made[1].settings == settings


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lrr", "--best-of lrr: the cells do not differ in it\n  allowed: train.lr\n  remedy:  write lr"),
        ("epochs", "--best-of epochs: the cells do not differ in it\n  allowed: train.lr\n"),
    ],
)
def test_a_setting_that_does_not_differ_is_refused(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        settings_named([name], swept())
    assert said in str(caught.value)
    with pytest.raises(UserError, match="nothing: they differ in no setting"):
        settings_named([name], swept(lrs=(0.1,)))


def test_without_a_seed_in_common_nothing_is_chosen() -> None:
    cells = swept()
    with pytest.raises(UserError, match=r"erm on digits / convnet cannot choose yet: lr=0\.1 has no finished seed"):
        compare(cells, finished(cells, dict(VALUES) | {("erm", 0.1): []}), best_of_settings=["lr"])
