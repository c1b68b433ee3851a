"""What a sweep shows of its search while it runs: the rung, how many are left, and the share of the grid's epochs."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from raced_samples import cells_of, error_of, experiment_of, followed
from rich.console import Console

from orchestrator.costs import TimeLeft
from orchestrator.experiment import Cell
from orchestrator.racing import Followed
from orchestrator.records import CellResult, EpochResult, Opened, Paused, now_ms
from orchestrator.sweep.progress import Progress


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def leg(cell: Cell, first: int, until: int) -> Iterator[EpochResult]:
    for epoch in range(first, until + 1):
        yield EpochResult(epoch, {"val/error": error_of(cell, epoch)}, now_ms() + 1)


def test_lines_say_each_rung_once_and_how_far_it_is(output: io.StringIO) -> None:
    states: list[Followed] = [followed(experiment_of(), rounds=rounds)[0] for rounds in (0, 1, None)]
    progress = Progress(Console(file=output, width=200), total=60, done=0, left=TimeLeft([], slots=2))
    progress.followed = lambda: states[0]
    first = states[0].legs[0].cell
    progress.take(first, Opened())
    for event in leg(first, 1, 2):
        progress.take(first, event)
    progress.take(first, Paused(2, now_ms()))
    assert output.getvalue() == ""  # a leg that has ended is no news
    states[0] = states[1]
    second = states[1].legs[0].cell
    progress.take(second, Opened())
    progress.take(second, Opened())
    assert output.getvalue().splitlines() == [
        "rung 1 of 4 (1 seed to epoch 2): 3 of 12 stopped, the last to go on had 58.80 %"
    ]
    progress.take(second, CellResult({"best/error": 0.25}, now_ms()))
    line = output.getvalue().splitlines()[-1]
    assert line.startswith("[rung 2 of 4, 9 of 12 left, under 1 % of the grid's epochs")
    assert line.endswith("validation error 25.00 %")
    states[0] = states[2]
    progress.take(second, Opened())
    assert (
        output.getvalue()
        .splitlines()[2]
        .startswith("rung 2 of 4 (2 seeds to epoch 4): 4 of 9 stopped, the last to go on had ")
    )
    assert "60 cells" not in output.getvalue()


def test_what_is_left_is_at_most_so_long(output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    now, _ = followed(experiment_of(), rounds=1)
    progress = Progress(Console(file=output, width=200), total=60, done=0, left=TimeLeft([], slots=2))
    progress.followed = lambda: now
    cell = now.legs[0].cell
    progress.take(cell, Opened())
    for event in leg(cell, 1, 4):
        progress.take(cell, event)
    progress.take(cell, CellResult({"best/error": 0.25}, now_ms()))
    assert "of the grid's epochs, at most about " in output.getvalue()


def test_what_rungs_had_decided_before_is_not_said_again(output: io.StringIO) -> None:
    now, _ = followed(experiment_of(), rounds=2)
    progress = Progress(Console(file=output, width=200), total=60, done=0, left=TimeLeft([], slots=2))
    progress.followed = lambda: now
    progress.take(now.legs[0].cell, Opened())
    assert output.getvalue() == ""


def test_a_sweep_without_a_search_says_what_it_always_said(output: io.StringIO) -> None:
    cell, other, *_ = cells_of()
    progress = Progress(Console(file=output, width=200), total=2, done=0, left=TimeLeft([cell, other], slots=1))
    progress.take(cell, CellResult({"best/error": 0.25}, now_ms()))
    assert output.getvalue().startswith("[1/2 cells, ")


def test_epochs_that_a_promoted_cell_reports_again_count_once(output: io.StringIO) -> None:
    now, _ = followed(experiment_of(), rounds=0)
    progress = Progress(Console(file=output, width=200), total=60, done=0, left=TimeLeft([], slots=1))
    progress.followed = lambda: now
    cell = now.legs[0].cell
    for until in (2, 4):
        progress.take(cell, Opened())
        for event in leg(cell, 1, until):
            progress.take(cell, event)
        progress.take(cell, Paused(until, now_ms()))
    assert progress.trained == 4
