"""Rows are configurations: whatever differs beyond seed, fold, data set and model stands in the label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from shown import text_of, words
from sweep_samples import DIGITS, ERM, MIXUP, ZETA, ZETA_BATCH, make_cells, runs_with, trained_with

from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Comparing
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.results import compare, remarks, render
from orchestrator.results.baselines import Baseline
from orchestrator.results.rows import Column, lay_out

ONE = make_cells(ERM, seeds=(0,))
SGD = {"optimizer": "sgd", "momentum": 0.9}
ADAMW = {"optimizer": "adamw", "momentum": None}


@pytest.mark.parametrize(
    ("cells", "rows"),
    [
        (ONE, ["erm"]),
        (trained_with(ONE, lr=0.05), ["erm"]),
        (make_cells(ZETA, ZETA_BATCH), [ZETA.label, ZETA_BATCH.label]),
        ([*trained_with(ONE, lr=0.05), *trained_with(ONE, lr=0.1)], ["erm, lr=0.05", "erm, lr=0.1"]),
        ([*ONE, *trained_with(ONE, workers=2)], ["erm, workers=1", "erm, workers=2"]),
        (
            [*trained_with(ONE, **SGD), *trained_with(ONE, **ADAMW)],
            ["erm, optimizer=sgd, momentum=0.9", "erm, optimizer=adamw"],
        ),
        ([*ONE, *trained_with(ONE, milestones=(2, 3))], ["erm, milestones=[]", "erm, milestones=[2, 3]"]),
        ([*ONE, *trained_with(ONE, class_weights="balanced")], ["erm", "erm, class_weights=balanced"]),
    ],
)
def test_a_label_has_what_differs_and_nothing_else(cells: Sequence[Cell], rows: list[str]) -> None:
    assert list(lay_out(cells).rows) == rows


def test_every_configuration_has_a_place_of_its_own() -> None:
    other = DatasetSpec.model_validate({"name": "digits", "num_train": 100})
    folds = [DatasetSpec.model_validate({"name": "digits", "folds": 3, "fold": fold}) for fold in (0, 1)]
    base = make_cells(ERM, MIXUP, ZETA, datasets=[DIGITS, other, *folds], models=("convnet", "resnet18"), seeds=(0, 1))
    grid = product((0.05, 0.1), (5, 20), (1, 2))
    cells = [cell for lr, epochs, workers in grid for cell in trained_with(base, lr=lr, epochs=epochs, workers=workers)]
    layout = lay_out(cells)
    layout.check()
    assert len(layout.cells) == len({cell.config_key for cell in cells}) == 8 * 3 * 3 * 2
    assert {len(members) for members in layout.cells.values()} == {2, 4}


def test_what_differs_between_columns_alone_is_said_of_the_columns() -> None:
    small, large = make_cells(ERM, MIXUP), make_cells(ERM, MIXUP, models=("resnet18",))
    cells = [*trained_with(small, epochs=5), *trained_with(large, epochs=20)]
    comparison = compare(cells, runs_with(cells, {}))
    assert comparison.rows == ("erm", MIXUP.label)
    assert comparison.settings == {Column("digits", "convnet"): "epochs=5", Column("digits", "resnet18"): "epochs=20"}
    assert "digits / resnet18: all rows with epochs=20." in remarks(comparison)


def test_configurations_that_would_share_a_place_are_refused() -> None:
    """No label is short enough to hide one: here the settings were left out, and nobody chose."""
    other_seeds = trained_with(make_cells(ERM, seeds=(5,)), lr=0.05)
    layout = lay_out([*ONE, *other_seeds], left_out=["train.lr"])
    with pytest.raises(ValueError, match=other_seeds[0].key):
        layout.check()


def test_data_sets_of_one_name_are_told_apart_by_their_options() -> None:
    options = ({"num_train": 100}, {"num_train": 200})
    specs = [DatasetSpec.model_validate({"name": "digits", "shown_as": "mine", **each}) for each in options]
    labels = [column.dataset for column in lay_out(make_cells(ERM, datasets=specs)).columns]
    assert labels == ["mine: digits(num_train=100)", "mine: digits(num_train=200)"]


def sweep_of_lr() -> list[Cell]:
    cells = make_cells(ERM, MIXUP)
    return [*trained_with(cells, lr=0.05), *trained_with(cells, lr=0.1)]


@pytest.mark.parametrize(
    ("wanted", "in_file", "row", "how_many"),
    [
        ("erm, lr=0.1", None, "erm, lr=0.1", 1),
        (None, None, "erm, lr=0.05", 2),
        (None, "erm", "erm, lr=0.05", 2),
        (None, "mixup", f"{MIXUP.label}, lr=0.05", 2),
        (None, f"{MIXUP.label}, lr=0.1", f"{MIXUP.label}, lr=0.1", 1),
    ],
)
def test_the_baseline_is_a_configuration(wanted: str | None, in_file: str | None, row: str, how_many: int) -> None:
    cells = sweep_of_lr()
    comparison = compare(cells, {}, baseline=wanted, comparing=Comparing(baseline=in_file))
    assert [*comparison.baselines.values()] == [Baseline(row, how_many)]
    said = f"{row} is the baseline; 2 rows have its augmentation" in words(" ".join(remarks(comparison)))
    assert said == (how_many > 1)


def test_who_asks_for_a_baseline_is_asked_which() -> None:
    with pytest.raises(UserError, match="2 rows are erm") as caught:
        compare(sweep_of_lr(), {}, baseline="erm")
    assert "write erm, lr=0.05, as the table has it" in str(caught.value)


def test_the_table_shows_the_settings() -> None:
    cells = sweep_of_lr()
    text = words(text_of(render(compare(cells, runs_with(cells, {ERM: (0.1, 0.12, 0.11)})), "table")))
    assert "erm, lr=0.05 ≈11.00 ± 1.00 n=3" in text
    assert "erm, lr=0.1 ≈11.00 ± 1.00 n=3" in text
