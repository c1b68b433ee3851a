"""Looks at a table before seeds were added: which count, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from sweep_samples import ERM, MIXUP, make_cells, make_run

from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results import compare, remarks
from orchestrator.results.looks import earlier_looks

VALUES = {ERM: (0.10, 0.11, 0.12, 0.10, 0.11), MIXUP: (0.06, 0.07, 0.05, 0.06, 0.07)}


def finished(cells: Sequence[Cell]) -> dict[str, CellRun]:
    return {cell.key: make_run(cell, {"test/error": VALUES[cell.augment][cell.seed % 5]}) for cell in cells}


def look(*keys: str, seeds: str) -> dict[str, frozenset[str]]:
    return {key: frozenset(seeds) for key in keys}


@pytest.mark.parametrize(
    ("looks", "count"),
    [
        ([], 0),
        ([look("a", "b", seeds="012")], 0),
        ([look("a", "b", seeds="01")], 1),
        ([look("a", "b", seeds="01"), look("a", "b", seeds="0"), look("a", "b", seeds="01")], 2),
        ([look("a", "b", seeds="0123")], 0),
        ([look("a", "b", seeds="789")], 0),
        ([look("c", seeds="01")], 0),
        ([look("a", seeds="01") | look("b", seeds="012")], 1),
        ([look("a", seeds="01") | look("c", seeds="0"), look("a", seeds="01") | look("c", seeds="1")], 1),
        ([look("a", "b", seeds="27")], 1),
    ],
)
def test_a_look_counts_if_seeds_were_added_to_those_that_were_seen(
    looks: list[dict[str, frozenset[str]]], count: int
) -> None:
    assert len(earlier_looks(look("a", "b", seeds="012"), looks)) == count


def test_seeds_added_after_a_look_cost_confidence_and_that_is_said() -> None:
    first = compare(cells := make_cells(ERM, MIXUP), finished(cells))
    assert set(first.seen) == {cell.config_key for cell in cells}
    assert set(first.seen.values()) == {frozenset("012")}
    cells = make_cells(ERM, MIXUP, seeds=range(5))
    later = compare(cells, finished(cells), looks=[first.seen])
    fresh = compare(cells, finished(cells))
    (column,) = later.columns
    assert later.looks == {column: 1}
    assert (fresh.analyses[column].alpha, later.analyses[column].alpha) == (0.05, 0.013)
    assert later.analyses[column].rows[MIXUP.label].high > fresh.analyses[column].rows[MIXUP.label].high
    said = " ".join(remarks(later))
    assert "looked at before seeds were added, once: 98.7 % intervals" in said
    assert "hold together for all rows of a column with 98.7 % confidence" in said
    again = compare(cells, finished(cells), looks=[first.seen, later.seen])
    assert again == later, "a look without a change of seeds is the same look"


@pytest.mark.parametrize("left", ["running", "failed", "missing"])
def test_a_table_that_is_not_finished_is_no_look(left: str) -> None:
    cells = make_cells(ERM, MIXUP)
    runs = finished(cells)
    if left == "missing":
        del runs[cells[-1].key]
    else:
        runs[cells[-1].key] = make_run(cells[-1], {}, status=left)  # type: ignore[arg-type]
    seen = compare(cells, runs).seen
    # What has failed is not to come.
    assert [len(seeds) for seeds in seen.values()] == ([3, 2] if left == "failed" else [])


@pytest.mark.parametrize("left", ["missing", "nan"])
def test_earlier_looks_count_in_a_table_that_is_not_finished(left: str) -> None:
    """One training that is missing, or never comes to a number, would buy back what the look has cost."""
    looked = compare(cells := make_cells(ERM, MIXUP), finished(cells)).seen
    cells = make_cells(ERM, MIXUP, seeds=range(5))
    runs = finished(cells)
    if left == "missing":
        del runs[cells[-1].key]
    else:
        runs[cells[-1].key] = make_run(cells[-1], {"test/error": math.nan})
    comparison = compare(cells, runs, looks=[looked])
    (column,) = comparison.columns
    assert (comparison.looks, comparison.analyses[column].alpha) == ({column: 1}, 0.013)
    # A value that is no number is none that is still to come.
    assert bool(comparison.seen) == (left == "nan")


def test_only_the_test_is_looked_at() -> None:
    cells = make_cells(ERM, MIXUP)
    runs = {cell.key: make_run(cell, {"val/error": 0.1, "test/error": 0.1}) for cell in cells}
    assert compare(cells, runs, metric="val/error").seen == {}
    assert compare(cells, runs).seen != {}
