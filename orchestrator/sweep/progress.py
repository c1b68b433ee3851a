"""What a running sweep shows: lines, below them on a terminal a live table; the log has all lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.errors import first_line
from orchestrator.experiment import Cell
from orchestrator.records import (
    CellResult,
    EpochResult,
    Event,
    Failed,
    Interrupted,
    Opened,
    Remark,
    Replaced,
    Started,
    Waiting,
    now_ms,
)

logger = logging.getLogger(__name__)

# A line per finished cell; without a terminal one about a running cell, too, at most this often.
PLAIN_INTERVAL_S = 30.0
# What a training waits for is said again so often.
SAY_AGAIN_S = 60.0


@dataclass
class _Running:
    cell: Cell
    epoch: int = 0
    error: float | None = None
    waits_said_at: float | None = None
    remarks: set[str] = field(default_factory=set)


class Progress:
    """Counts cells and epochs of one sweep; use it as a context manager.

    Args:
        console: Where to show it.
        total: Cells of the experiment.
        done: Cells that were finished before.
        epochs: Epochs of the cells that this sweep runs.

    Attributes:
        undelivered: Returns how many cells that have ended MLflow does not have yet, and about how many seconds it
            will take.
    """

    def __init__(self, console: Console, *, total: int, done: int, epochs: int) -> None:
        self._console, self._total, self._done, self._epochs = console, total, done, epochs
        self._failed = self._epochs_done = 0
        self._running: dict[str, _Running] = {}
        self._best: tuple[float, Cell] | None = None
        self._last_line = time.monotonic()
        self._started_ms = now_ms()
        self._first_epoch_at: float | None = None
        self.undelivered: Callable[[], tuple[int, float | None]] = lambda: (0, None)
        self._live = Live(self, console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        else:
            self.say("starting the workers: half a minute, on a busy machine two", style="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def take(self, cell: Cell, event: Event) -> None:
        """Show what happened to a cell."""
        match event:
            case Opened():
                self._running[cell.key] = _Running(cell)
            case EpochResult():
                self._show_epoch(cell, event)
            case Waiting(reason):
                self._show_waiting(cell, reason)
            case Remark(text):
                self._show_remark(cell, text)
            case Replaced(reason):
                self.say(f"new workers: {cell.label}: {reason}")
            case CellResult():
                self._show_result(cell, event)
            case Failed(reason):
                self._running.pop(cell.key, None)
                self._failed += 1
                self.say(f"failed: {cell.label}: {first_line(reason)}", style="red")
            case Interrupted():
                self._running.pop(cell.key, None)  # whoever interrupts is told of all at once
            case Started():
                pass  # the table has the cell already
            case _:
                assert_never(event)

    def say(self, text: str, *, style: str = "yellow") -> None:
        """Show a line above the table, and log it. Where it cannot be shown, e.g. on a full disk, the sweep goes on."""
        logger.info(text)
        with suppress(OSError):
            self._console.print(Text(text, style=style), soft_wrap=True)

    def _show_waiting(self, cell: Cell, reason: str) -> None:
        """Show what a training waits for, and again every minute."""
        running, now = self._running.setdefault(cell.key, _Running(cell)), time.monotonic()
        if running.waits_said_at is None or now - running.waits_said_at >= SAY_AGAIN_S:
            running.waits_said_at = now
            self.say(f"waiting: {cell.label}: {reason}")

    def _show_remark(self, cell: Cell, text: str) -> None:
        """Show what a worker has to say; once, of several that say the same."""
        running = self._running.get(cell.key)
        remarks = running.remarks if running is not None else set()
        if text not in remarks:
            remarks.add(text)
            self.say(f"{cell.label}: {text}")

    def _show_epoch(self, cell: Cell, result: EpochResult) -> None:
        """Show a finished epoch; of those that a resumed cell reports again, only how many there are."""
        running = self._running.setdefault(cell.key, _Running(cell))
        if result.epoch <= running.epoch:
            return
        running.epoch, running.error = result.epoch, result.metrics["val/error"]
        if result.timestamp_ms < self._started_ms:
            # Trained by an earlier sweep: says nothing of how long the others take.
            self._epochs -= 1
            return
        self._epochs_done += 1
        if running.waits_said_at is not None:
            running.waits_said_at = None
            self.say(f"goes on: {cell.label}")
        if self._first_epoch_at is None:
            self._first_epoch_at = time.monotonic()
        now = time.monotonic()
        if self._live is None and now - self._last_line >= PLAIN_INTERVAL_S:
            self._line(
                f"{cell.label}: epoch {result.epoch}/{cell.train.epochs}, validation error {100 * running.error:.2f} %"
            )

    def _show_result(self, cell: Cell, result: CellResult) -> None:
        self._running.pop(cell.key, None)
        self._done += 1
        error = result.metrics["best/error"]
        if self._best is None or error < self._best[0]:
            self._best = (error, cell)
        self._line(f"{cell.label}: validation error {100 * error:.2f} %")

    def __rich__(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2), show_header=bool(self._running))
        for name in ("running", "epoch", "validation error"):
            table.add_column(name, justify="left" if name == "running" else "right")
        for running in self._running.values():
            error = "" if running.error is None else f"{100 * running.error:.2f} %"
            table.add_row(running.cell.label, f"{running.epoch}/{running.cell.train.epochs}", error)
        # A bar alone does not end its line.
        bar = Table.grid()
        bar.add_row(ProgressBar(total=self._total, completed=self._done, width=40))
        parts: list[RenderableType] = [Text(self._summary()), bar, table]
        if self._best is not None:
            parts.append(Text(f"best so far on validation: {self._best[1].label}, error {100 * self._best[0]:.2f} %"))
        return Group(*parts)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        self.say(f"{self._summary()}  {text}", style="")

    def _summary(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        undelivered, delivery_s = self.undelivered()
        # The cell that has just ended is always on its way.
        behind = f", {undelivered} not yet in MLflow" if undelivered > (not self._all_ended) else ""
        training_s = 0.0 if self._all_ended else self._training_s()
        if training_s is None:
            left = "starting"
        elif self._all_ended and undelivered and delivery_s is None:
            left = "delivering"
        else:
            left = f"{timedelta(seconds=round(max(training_s, delivery_s or 0.0)))} left"
        return f"[{self._done}/{self._total} cells{failed}{behind}, {left}]"

    @property
    def _all_ended(self) -> bool:
        return self._done + self._failed >= self._total

    def _training_s(self) -> float | None:
        """Estimate from the epochs since the first one, so that the start of Ray and the workers does not count."""
        if self._first_epoch_at is None or self._epochs_done < 2:
            return None
        rate = (self._epochs_done - 1) / max(1e-9, time.monotonic() - self._first_epoch_at)
        return max(0, self._epochs - self._epochs_done) / rate
