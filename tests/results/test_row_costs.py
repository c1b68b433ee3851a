"""What each row has cost, at the end of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_samples import ERM, MIXUP, make_cells, make_run, trained_with

from orchestrator.costs import worker_seconds
from orchestrator.records import EPOCH_S, CellRun
from orchestrator.results import compare, costs_of_rows

CELLS = make_cells(ERM, MIXUP, seeds=(0, 1))


def timed(cell_number: int, *, seconds: float) -> CellRun:
    run = make_run(CELLS[cell_number], {"test/error": 0.1})
    return replace(run, first_step_ms=1_000, ended_ms=1_000 + int(1000 * seconds))


def test_each_row_has_its_own_and_all_together() -> None:
    runs = {CELLS[number].key: timed(number, seconds=seconds) for number, seconds in enumerate((10, 20, 30, 40))}
    first, erm, mixup, total = costs_of_rows(compare(CELLS, runs), CELLS, runs, pays=lambda worker_s, _: worker_s / 100)
    assert first.startswith("cost, of all workers")
    assert erm.endswith("median 20 s, 40 s for 2 cells, 0.40")
    assert mixup.endswith("median 30 s, 60 s for 2 cells, 0.60")
    assert total.split() == ["together", "1", "min", "40", "s", "for", "4", "cells,", "1.00"]


def test_what_was_stopped_or_failed_has_cost_something_too() -> None:
    """Of a race that is most of it."""
    runs = {CELLS[0].key: timed(0, seconds=10)}
    for cell, status in zip(CELLS[1:3], ("interrupted", "failed"), strict=True):
        runs[cell.key] = make_run(cell, {EPOCH_S: 3.0}, status=status, epoch=2)  # type: ignore[arg-type]
    *_, unfinished, together = costs_of_rows(compare(CELLS, runs), CELLS, runs, pays=lambda s, _: s / 100)
    assert unfinished.strip() == "stopped, failed or interrupted  12 s for 2 cells, 0.12"
    assert together.split() == ["together", "22", "s", "for", "3", "cells,", "0.22"]


def test_without_a_price_it_is_told_in_hours_and_without_times_not_at_all() -> None:
    runs = {CELLS[0].key: timed(0, seconds=10)}
    lines = list(costs_of_rows(compare(CELLS, runs), CELLS, runs))
    assert len(lines) == 3
    assert lines[1].endswith("median 10 s, 10 s for 1 cell")
    untimed = {CELLS[0].key: make_run(CELLS[0], {"test/error": 0.1})}
    assert list(costs_of_rows(compare(CELLS, untimed), CELLS, untimed)) == []


@pytest.mark.parametrize(
    ("images_per_s", "expected"),
    [
        (None, 20.0),
        (1000.0, 20.0),  # uninterrupted: validation and test are in it
        (50.0, 2 * 5 * 1000 / 50),  # the process that finished it trained a part of it alone
    ],
)
def test_of_an_interrupted_cell_it_is_what_all_epochs_take(images_per_s: float | None, expected: float) -> None:
    (cell,) = trained_with(CELLS[:1], workers=2)
    metrics = {} if images_per_s is None else {"train/images_per_s": images_per_s}
    run = replace(timed(0, seconds=10), metrics=metrics, num_images={"train": 1000})
    assert worker_seconds(cell, run) == expected
    unfinished = worker_seconds(cell, replace(run, status="interrupted", epoch=2))
    assert unfinished == (None if images_per_s is None else 2 * 2 * 1000 / images_per_s)
    assert worker_seconds(cell, None) is None
