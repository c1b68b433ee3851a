"""Each column has a baseline of its own: of a search the one that its own race placed best, confirmed or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from raced_samples import EPOCHS, raced
from shown import words
from sweep_samples import DIGITS, ERM, MIXUP, make_run

from orchestrator.experiment import Cell, Comparing, Experiment, TrainSettings, expand
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.report import comparison_html
from orchestrator.results import (
    Comparison,
    Names,
    Wanted,
    answer_of,
    check_wanted,
    compare,
    confirming,
    remarks,
    render,
    settle,
)
from orchestrator.results.column_words import sentences
from orchestrator.results.wording import differences_title
from orchestrator.storage import Confirmation

CIFAR = DatasetSpec.model_validate({"name": "cifar10"})
# The learning rate that is best, by data set.
BEST = {DIGITS: 0.05, CIFAR: 0.1}
EXPERIMENT = Experiment(
    name="sample",
    dataset=(DIGITS, CIFAR),
    model=("convnet",),
    augment=(ERM, MIXUP),
    seed=(0, 1, 2),
    train=tuple(TrainSettings(epochs=EPOCHS, lr=lr) for lr in (0.02, 0.05, 0.1, 0.5)),
    file=Path("sample.yaml"),
)
CELLS = expand(EXPERIMENT)


def error_of(cell: Cell, epoch: int) -> float:
    off = abs(cell.train.lr - BEST[cell.dataset])
    return round(0.3 + off - 0.1 * (cell.augment == MIXUP) + 0.01 * (cell.seed % 7) + 1 / epoch, 6)


def searched(dataset: DatasetSpec):  # type: ignore[no-untyped-def]
    cells = [cell for cell in CELLS if cell.dataset == dataset]
    return raced(cells, curve=error_of, name=lambda cell: f"{cell.augment.label}, lr={cell.train.lr:g}")


FOUND = {dataset: searched(dataset) for dataset in BEST}
RACES = [race for race, _ in FOUND.values()]
RUNS = {key: run for _, runs in FOUND.values() for key, run in runs.items()}


@pytest.fixture(scope="module")
def confirmed() -> Comparison:
    confirmation = settle(
        CELLS,
        RUNS,
        Confirmation(sweep="sample"),
        Wanted(top=2, num_seeds=4),
        comparing=Comparing(),
        known_keys=frozenset,
        now="2026-11-30 01:00",
        races=RACES,
    )
    whole, cells = confirming(EXPERIMENT, confirmation)
    runs = {cell.key: make_run(cell, {"test/error": error_of(cell, EPOCHS)}) for cell in cells}
    return compare(cells, runs, comparing=whole.compare, in_file=whole.compare_in_file, confirmed=whole.confirmed)


def rows(table: Comparison) -> dict[str, str | None]:
    return {column.dataset: table.baseline_of(column) for column in table.columns}


def test_a_race_places_the_baseline_of_its_own_column() -> None:
    table = compare(CELLS, RUNS, races=RACES)
    assert rows(table) == {"digits": "erm, lr=0.05", "cifar10": "erm, lr=0.1"}
    assert table.baseline is None
    said = words(" ".join(remarks(table)))
    placed = "of 4 rows with its augmentation it is placed best by validation"
    assert f"digits / convnet: erm, lr=0.05 is the baseline: {placed}" in said
    assert f"cifar10 / convnet: erm, lr=0.1 is the baseline: {placed}" in said
    assert compare(CELLS, RUNS, baseline="erm", races=RACES).exploratory == ()
    other = compare(CELLS, RUNS, baseline="erm, lr=0.05", races=RACES)
    assert (other.baseline, len(other.exploratory)) == ("erm, lr=0.05", 1)


def test_of_a_grid_it_is_the_first_row_that_a_column_has() -> None:
    """A data set may have a training of its own: its rows are others."""
    cells = [cell for cell in CELLS if cell.train.lr in ((0.05, 0.02) if cell.dataset == DIGITS else (0.1, 0.5))]
    table = compare(cells, {})
    assert rows(table) == {"digits": "erm, lr=0.02", "cifar10": "erm, lr=0.1"}
    one = compare(cells, {}, baseline="erm, lr=0.1")
    assert rows(one) == {"digits": "erm, lr=0.1", "cifar10": "erm, lr=0.1"}, "who names a row means it everywhere"


def test_a_confirmation_compares_each_column_with_what_was_chosen_there(confirmed: Comparison) -> None:
    assert rows(confirmed) == {"digits": "erm, lr=0.05", "cifar10": "erm, lr=0.1"}
    assert not confirmed.is_exploratory
    for column in confirmed.columns:
        said = " ".join(sentences(confirmed, column))
        assert f"than {confirmed.baseline_of(column)}: {MIXUP.label}" in said
        assert "nothing is compared" not in said
    assert "digits / convnet: erm, lr=0.05 is the baseline." in remarks(confirmed)
    assert "cifar10 / convnet: erm, lr=0.1 is the baseline." in remarks(confirmed)


def test_whatever_shows_the_table_names_both(confirmed: Comparison) -> None:
    assert differences_title(confirmed).startswith("Behind it: the difference from the baseline of its column (")
    document = json.loads(str(render(confirmed, "json")))
    assert document["baseline"] is None
    assert {each["dataset"]: each["baseline"] for each in document["columns"]} == rows(confirmed)
    assert "Against ERM, lr=0.05 on Digits or ERM, lr=0.1 on CIFAR-10: $" in str(render(confirmed, "latex"))
    page = comparison_html(confirmed, Names())
    assert [page.count(f"<th>from {row} (interval)</th>") for row in rows(confirmed).values()] == [1, 1]
    answer = answer_of(confirmed, Names())
    against = {line[answer.columns.index("data set")]: line[answer.columns.index("against")] for line in answer.rows}
    assert {name: row for name, row in against.items() if row is not None}.items() <= rows(confirmed).items()
    assert any(name.endswith("cifar10 convnet/mixup alpha 1.0 lr 0.1 from erm lr 0.1") for name in answer.figures)
    assert not any("cifar10" in name and name.endswith("from erm lr 0.05") for name in answer.figures)


def test_of_a_grid_each_column_is_confirmed_against_its_own_baseline() -> None:
    cells = [cell for cell in CELLS if cell.train.lr in ((0.05, 0.02) if cell.dataset == DIGITS else (0.1, 0.5))]
    runs = {cell.key: make_run(cell, {"best/error": error_of(cell, EPOCHS)}) for cell in cells}
    settled = settle(
        cells,
        runs,
        Confirmation(sweep="sample"),
        check_wanted(Wanted(top=1, num_seeds=2), cells, Comparing()),
        comparing=Comparing(),
        known_keys=frozenset,
        now="2026-11-30 01:00",
    )
    assert [choice.against for choice in settled.choices] == [("erm, lr=0.02",), ("erm, lr=0.1",)]
    assert [choice.taken[-1].row for choice in settled.choices] == ["erm, lr=0.02", "erm, lr=0.1"]
