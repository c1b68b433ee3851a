"""What a running sweep shows, with and without a terminal."""

from __future__ import annotations

import io
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console
from sweep_samples import ERM, MIXUP, make_cells, trained_with
from tracked import FACTS

from orchestrator.costs import TimeLeft
from orchestrator.experiment import Cell
from orchestrator.records import CellResult, EpochResult, Failed, Opened, Remark, Replaced, Started, Waiting
from orchestrator.sweep.progress import Progress


def finished(epoch: int, *, error: float = 0.5, seconds_ago: float = -60) -> EpochResult:
    """An epoch of the present sweep, or of one before it."""
    return EpochResult(epoch, {"val/error": error}, timestamp_ms=int(1000 * (time.time() - seconds_ago)))


def result(*, error: float) -> CellResult:
    return CellResult({"best/error": error}, timestamp_ms=0)


def left_of(*cells: Cell) -> TimeLeft:
    return TimeLeft(cells, slots=1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, in seconds: its only item, to be changed."""
    clock = [100.0]
    monkeypatch.setattr("orchestrator.sweep.progress.time.monotonic", lambda: clock[0])
    return clock


def shown(*, terminal: bool) -> str:
    erm, mixup = make_cells(ERM, MIXUP, seeds=(0,))
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, color_system=None)
    with Progress(console, total=3, done=1, left=left_of(erm, mixup)) as progress:
        progress.take(erm, Opened())
        for epoch, error in ((1, 0.5), (2, 0.25)):
            progress.take(erm, finished(epoch, error=error))
        if terminal:
            console.print(progress)
        progress.take(erm, result(error=0.25))
        progress.take(mixup, Opened())
        progress.take(mixup, Failed("the loss became nan\nsecond line"))
        if terminal:
            console.print(progress)
    return output.getvalue()


def test_plain_lines_without_a_terminal() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines[0].startswith("starting the workers")
    assert "[2/3 cells" in lines[1]
    assert "erm" in lines[1]
    assert "validation error 25.00 %" in lines[1]
    assert lines[2].startswith("failed: ")
    assert "the loss became nan" in lines[2]
    assert len(lines) == 3


def test_live_table_on_a_terminal() -> None:
    text = shown(terminal=True)
    assert "[1/3 cells" in text
    assert "2/5" in text
    assert "25.00 %" in text
    assert "[2/3 cells, 1 failed" in text
    assert "best so far on validation" in text


def test_a_finished_cell_stays_as_a_line_above_the_table() -> None:
    erm, _ = make_cells(ERM, MIXUP, seeds=(0,))
    lines = [line for line in shown(terminal=True).splitlines() if erm.label in line and "validation error" in line]
    assert any(re.search(r"\[2/3 cells.*\]  .*: validation error 25\.00 %", line) for line in lines)


def test_the_header_of_the_table_has_a_line_of_its_own() -> None:
    lines = [line for line in shown(terminal=True).splitlines() if "running" in line and "epoch" in line]
    assert lines
    assert not [line for line in lines if "\u2501" in line]


def test_what_is_shown_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    erm, mixup = make_cells(ERM, MIXUP, seeds=(0,))
    with caplog.at_level("INFO", logger="orchestrator"):
        shown(terminal=True)
    said = [record.getMessage() for record in caplog.records]
    assert any(erm.label in line and "validation error 25.00 %" in line for line in said)
    assert any(line.startswith(f"failed: {mixup.label}") for line in said)


def test_time_left_counts_from_the_first_step(now: list[float]) -> None:
    cells = make_cells(ERM, seeds=(0, 1))
    output = io.StringIO()
    progress = Progress(Console(file=output, width=100), total=2, done=0, left=left_of(*cells))
    progress.take(cells[0], Opened())
    now[0] += 60.0
    progress.take(cells[0], Started(FACTS))
    for epoch in range(1, 6):
        now[0] += 10.0
        progress.take(cells[0], finished(epoch))
    now[0] += 2.0
    progress.take(cells[0], result(error=0.5))
    # The minute of start-up is not in it; the other cell has as many epochs, and a test.
    assert "0:00:52 left]" in output.getvalue()


def test_a_resumed_cell_is_shown_where_it_goes_on(now: list[float]) -> None:
    """It reports its old epochs again, at once: they are no news, and say nothing of how long the others take."""
    cells = make_cells(ERM, seeds=(0, 1))
    erm = cells[0]
    output = io.StringIO()
    progress = Progress(Console(file=output, width=100), total=2, done=0, left=left_of(*cells))
    now[0] += 60.0
    for epoch in (1, 2):
        progress.take(erm, finished(epoch, seconds_ago=3600))
    assert output.getvalue() == ""
    for epoch in (3, 4):
        now[0] += 10.0
        progress.take(erm, finished(epoch, error=0.25))
    progress.take(erm, Replaced("the workers died: failure 1 of 3"))
    now[0] += 40.0
    progress.take(erm, finished(3, error=0.75))
    assert "3/5, validation error 25.00 %" in output.getvalue()
    assert "75.00" not in output.getvalue()
    assert output.getvalue().splitlines()[-1].endswith("failure 1 of 3")
    progress.take(erm, result(error=0.25))
    # Five epochs of ten seconds.
    assert "0:00:50 left]" in output.getvalue()


def test_a_sweep_of_several_kinds_tells_of_each(now: list[float]) -> None:
    cells = [*make_cells(ERM, seeds=(0,)), *make_cells(ERM, models=("resnet18",), seeds=(0,))]
    output = io.StringIO()
    console = Console(file=output, width=100)
    progress = Progress(console, total=2, done=0, left=left_of(*cells))
    for cell, epoch_s in zip(cells, (2.0, 30.0), strict=True):
        progress.take(cell, Started(FACTS))
        now[0] += epoch_s
        progress.take(cell, finished(1))
    assert "digits convnet, batch 64: 2 s an epoch; left: 1 cell, about 8 s of one slot" in output.getvalue()
    assert "digits resnet18, batch 64: 30 s an epoch; left: 1 cell, about 2 min 00 s of one slot" in output.getvalue()
    console.print(progress)
    assert output.getvalue().count("about 2 min 00 s of one slot") == 2


def test_money_is_told_to_who_gave_a_price(now: list[float]) -> None:
    cells = trained_with(make_cells(ERM, seeds=(0, 1)), epochs=1)
    output = io.StringIO()
    progress = Progress(
        Console(file=output, width=100), total=2, done=0, left=left_of(*cells), pays=lambda worker_s: worker_s / 10
    )
    progress.take(cells[0], Started(FACTS))
    now[0] += 10.0
    progress.take(cells[0], finished(1))
    progress.take(cells[0], result(error=0.5))
    assert "[1/2 cells, 0:00:10 left, 1.00 spent in this run, about 1.00 to go]" in output.getvalue()


def test_what_is_not_delivered_yet_is_shown_with_its_time() -> None:
    erm, mixup = trained_with(make_cells(ERM, MIXUP, seeds=(0,)), epochs=1)
    output, undelivered = io.StringIO(), (1, 4.0)
    progress = Progress(Console(file=output, width=100), total=2, done=0, left=left_of(erm, mixup))
    progress.undelivered = lambda: undelivered
    for cell in (erm, mixup):
        progress.take(cell, Opened())
        progress.take(cell, finished(1))
    # The cell that has just ended is on its way, always: no news.
    progress.take(erm, result(error=0.5))
    undelivered = (2, 75.0)
    progress.take(mixup, result(error=0.5))
    first, second = output.getvalue().splitlines()
    assert first.startswith("[1/2 cells, 0:00:04 left]")
    assert second.startswith("[2/2 cells, 2 not yet in MLflow, 0:01:15 left]")
    undelivered = (1, None)
    Console(file=output, width=100).print(progress)
    assert "[2/2 cells, 1 not yet in MLflow, delivering]" in output.getvalue()


def test_what_a_training_waits_for_is_said_again_every_minute(now: list[float]) -> None:
    (erm,) = make_cells(ERM, seeds=(0,))
    output = io.StringIO()
    progress = Progress(Console(file=output, width=100), total=1, done=0, left=left_of(erm))
    for _ in range(61):
        progress.take(erm, Waiting("the disk is full"))
        now[0] += 2.0
    assert output.getvalue().splitlines() == [f"waiting: {erm.label}: the disk is full"] * 3
    progress.take(erm, finished(1))
    assert f"goes on: {erm.label}" in output.getvalue()


def test_what_several_workers_say_is_shown_once() -> None:
    erm, mixup = make_cells(ERM, MIXUP, seeds=(0,))
    output = io.StringIO()
    progress = Progress(Console(file=output, width=200), total=2, done=0, left=left_of(erm, mixup))
    for cell in (erm, mixup):
        progress.take(cell, Opened())
        for text in ("decoding digits: 1 of 7 (0:00:08 so far)", "decoding digits: 5 of 7 (0:01:08 so far)"):
            for _ in range(2):
                progress.take(cell, Remark(text))
    assert len(output.getvalue().splitlines()) == 4
    assert f"{erm.label}: decoding digits: 5 of 7 (0:01:08 so far)" in output.getvalue()


def test_the_table_is_drawn_while_cells_begin_and_end() -> None:
    """By a thread of its own, which an error would end: the table would stand still for days."""
    cells = make_cells(ERM, seeds=tuple(range(50)))
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress = Progress(console, total=50, done=0, left=left_of(*cells))
    is_over = False

    def draw() -> int:
        drawn = 0
        while not is_over:
            progress.__rich__()
            drawn += 1
        return drawn

    switching_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as pool:
            drawing = pool.submit(draw)
            for _ in range(20):
                for cell in cells:
                    progress.take(cell, Opened())
                for cell in cells:
                    progress._end(cell, is_done=False)
            is_over = True
            assert drawing.result() > 0
    finally:
        sys.setswitchinterval(switching_s)


def test_what_is_printed_meanwhile_does_not_go_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """MLflow prints two lines for each run that ends; all that is printed goes to the log of a sweep."""
    output = io.StringIO()
    (erm,) = make_cells(ERM, seeds=(0,))
    with Progress(Console(file=output, force_terminal=True), total=1, done=0, left=left_of(erm)):
        print("a library speaks")  # noqa: T201
    assert "a library speaks" not in output.getvalue()
    assert "a library speaks" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_takes_nothing_ends_no_sweep() -> None:
    erm, mixup = make_cells(ERM, MIXUP, seeds=(0,))
    with open("/dev/full", "w", buffering=1) as output:
        with Progress(Console(file=output), total=2, done=0, left=left_of(erm, mixup)) as progress:
            progress.take(erm, Opened())
            progress.take(erm, Waiting("the disk is full"))
            progress.take(erm, finished(1))
            progress.take(erm, result(error=0.25))
            progress.take(mixup, Failed("the loss became nan"))
        with suppress(OSError):
            output.close()
