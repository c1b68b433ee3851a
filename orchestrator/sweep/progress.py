"""What a running sweep shows: lines, below them on a terminal a live table; the log has all lines."""

from __future__ import annotations

import logging
import time
from collections import Counter
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

from orchestrator.amounts import counted
from orchestrator.costs import KindLeft, TimeLeft, column_of, duration_text, money_text
from orchestrator.errors import first_line
from orchestrator.experiment import Cell
from orchestrator.racing import Followed
from orchestrator.records import (
    CellResult,
    EpochResult,
    Event,
    Failed,
    Interrupted,
    Opened,
    Paused,
    Remark,
    Replaced,
    Started,
    Stopped,
    Waiting,
    now_ms,
)
from orchestrator.results import Raced, progress_text, races_of, rung_lines

logger = logging.getLogger(__name__)

# A line per finished cell; without a terminal one about a running cell, too, at most this often.
PLAIN_INTERVAL_S = 30.0
# What a training waits for is said again so often.
SAY_AGAIN_S = 60.0
# Below the table, those of which most is left.
SHOWN_KINDS = 5


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
        left: Of the cells that this sweep runs.
        pays: Returns what so many seconds of a worker cost; None if nobody asked.

    Attributes:
        undelivered: Returns how many cells that have ended MLflow does not have yet, and about how many seconds it
            will take.
        followed: Returns how far the search is; None for a sweep without one.
    """

    def __init__(
        self,
        console: Console,
        *,
        total: int,
        done: int,
        left: TimeLeft,
        pays: Callable[[float], float] | None = None,
    ) -> None:
        self._console, self._total, self._done = console, total, done
        self._left, self._pays, self._failed = left, pays, 0
        self._running: dict[str, _Running] = {}
        self._best: tuple[float, Cell] | None = None
        self._last_line = time.monotonic()
        self._started_ms = now_ms()
        self.undelivered: Callable[[], tuple[int, float | None]] = lambda: (0, None)
        self.followed: Callable[[], Followed | None] = lambda: None
        self._seen: Followed | None = None
        self._races: tuple[Raced, ...] = ()
        # By column.
        self._epochs_done: Counter[str] = Counter()
        # By the cells that wait for their rung.
        self._reached: dict[str, int] = {}
        self._trained_before: dict[str, int] | None = None
        self._rungs_said: set[str] = set()
        self._live = _live(self, console) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        else:
            self.say("starting the workers: half a minute, on a busy machine two", style="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def widen(self, slots: int) -> None:
        """Take note that so many cells are trained at a time from now on."""
        self._left.widen(slots)

    def take(self, cell: Cell, event: Event) -> None:
        """Show what happened to a cell."""
        self._look()
        match event:
            case Opened():
                self._left.add(cell)
                self._running[cell.key] = _Running(cell, epoch=self._reached.get(cell.key, 0))
            case EpochResult():
                self._show_epoch(cell, event)
            case Waiting(reason):
                self._show_waiting(cell, reason)
            case Remark(text):
                self._show_remark(cell, text)
            case Replaced(reason):
                self._left.replace(cell)
                self.say(f"new workers: {cell.label}: {reason}")
            case CellResult():
                self._show_result(cell, event)
            case Paused():
                self._pause(cell)  # its rung says what is next
            case Failed(reason):
                self._end(cell, is_done=False)
                self._failed += 1
                self.say(f"failed: {cell.label}: {first_line(reason)}", style="red")
            case Interrupted():
                self._end(cell, is_done=False)  # whoever interrupts is told of all at once
            case Started():
                self._left.begin(cell, time.monotonic())  # the table has the cell already
            case Stopped():
                pass  # the rung that stopped it is said
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
        # What an earlier sweep trained says nothing of how long the others take.
        is_new = result.epoch > running.epoch and result.timestamp_ms >= self._started_ms
        of_kind = self._left.epoch(cell, result.epoch, time.monotonic(), is_new=is_new)
        if result.epoch <= running.epoch:
            return
        running.epoch, running.error = result.epoch, result.metrics["val/error"]
        if not is_new:
            return
        self._epochs_done[column_of(cell)] += 1
        if running.waits_said_at is not None:
            running.waits_said_at = None
            self.say(f"goes on: {cell.label}")
        if of_kind is not None and self._left.num_kinds > 1 and not self._races:
            self.say(_kind_text(of_kind), style="")
        now = time.monotonic()
        if self._live is None and now - self._last_line >= PLAIN_INTERVAL_S:
            self._line(
                f"{cell.label}: epoch {result.epoch}/{cell.train.epochs}, validation error {100 * running.error:.2f} %"
            )

    def _show_result(self, cell: Cell, result: CellResult) -> None:
        self._end(cell, is_done=True)
        self._done += 1
        error = result.metrics["best/error"]
        if self._best is None or error < self._best[0]:
            self._best = (error, cell)
        self._line(f"{cell.label}: validation error {100 * error:.2f} %")

    def _pause(self, cell: Cell) -> None:
        """Take note of a cell that waits: with its next leg it reports its epochs again."""
        if (running := self._running.pop(cell.key, None)) is not None:
            self._reached[cell.key] = running.epoch
        self._left.pause(cell, time.monotonic())

    def _end(self, cell: Cell, *, is_done: bool) -> None:
        self._running.pop(cell.key, None)
        self._left.end(cell, time.monotonic(), is_done=is_done)

    def __rich__(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2), show_header=bool(self._running))
        for name in ("running", "epoch", "validation error"):
            table.add_column(name, justify="left" if name == "running" else "right")
        # Drawn by a thread of its own, while cells begin and end.
        for running in list(self._running.values()):
            error = "" if running.error is None else f"{100 * running.error:.2f} %"
            table.add_row(running.cell.label, f"{running.epoch}/{running.cell.train.epochs}", error)
        # A bar alone does not end its line.
        bar = Table.grid()
        bar.add_row(ProgressBar(total=self._total, completed=self._done, width=40))
        if self._races:
            bar = Table.grid()
            bar.add_row(ProgressBar(total=self._at_most, completed=self.trained, width=40))
        parts: list[RenderableType] = [Text(self._summary()), bar, table]
        if self._left.num_kinds > 1 and not self._races:
            parts += [Text(_kind_text(kind)) for kind in self._left.by_kind(time.monotonic())[:SHOWN_KINDS]]
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
        now_s = time.monotonic()
        left = self._left.of_epochs(self._epochs_left) if self._races else self._left.left(now_s)
        if self._all_ended and undelivered and delivery_s is None:
            text = "delivering"
        elif left is None and not self._all_ended:
            text = "starting"
        else:
            training_s = left.seconds if left is not None and not self._all_ended else 0.0
            # Only what trains can be about right: what MLflow still has to get is told by its own clock.
            about = "about " if left is not None and left.is_about and training_s > (delivery_s or 0.0) else ""
            # How many epochs are left is a bound; how long they take is not.
            about = "at most about " if self._races and training_s else about
            text = f"{about}{timedelta(seconds=round(max(training_s, delivery_s or 0.0)))} left"
        far = progress_text(self._races, trained=self.trained) if self._races else f"{self._done}/{self._total} cells"
        return f"[{far}{failed}{behind}, {text}{self._money(now_s)}]"

    def _money(self, now_s: float) -> str:
        """Return what was spent by now, and what is going to be."""
        if self._pays is None:
            return ""
        left = self._left
        left_s = left.worker_s_of_epochs(self._epochs_left) if self._races else left.worker_s_left(now_s)
        bound = "at most about" if self._races else "about"
        to_go = "" if left_s is None else f", {bound} {money_text(self._pays(left_s))} to go"
        return f", {money_text(self._pays(self._left.spent_s(now_s)))} spent in this run{to_go}"

    def _look(self) -> None:
        """Look how far the search is, if it has gone on, and say what each rung has decided, once."""
        now = self.followed()
        if now is None or now is self._seen:
            return
        is_first, self._seen, self._races = self._seen is None, now, races_of(now)
        if self._trained_before is None:
            self._trained_before = {raced.label: raced.trained_epochs for raced in self._races}
        for line in rung_lines(self._races):
            if line not in self._rungs_said:
                self._rungs_said.add(line)
                if not is_first:  # what was decided before, status says
                    self.say(line, style="")

    @property
    def trained(self) -> int:
        """The epochs that all cells of a search have together, those of before among them."""
        return sum((self._trained_before or {}).values()) + self._epochs_done.total()

    @property
    def _epochs_left(self) -> dict[str, int]:
        """How many are left at most, by column."""
        before = self._trained_before or {}
        return {
            raced.label: 0
            if raced.is_over
            else raced.most_epochs - before.get(raced.label, 0) - self._epochs_done[raced.label]
            for raced in self._races
        }

    @property
    def _at_most(self) -> int:
        return sum(raced.most_epochs for raced in self._races)

    @property
    def _all_ended(self) -> bool:
        if self._races:
            return not self._running and all(raced.is_over for raced in self._races)
        return self._done + self._failed >= self._total


def _kind_text(kind: KindLeft) -> str:
    return (
        f"{kind.label}: {duration_text(kind.epoch_s)} an epoch; left: {counted(kind.cells, 'cell')}, "
        f"about {duration_text(kind.seconds)} of one slot"
    )


def _live(progress: Progress, console: Console) -> Live:
    # What Python prints meanwhile goes to the log, as all else that is printed.
    return Live(
        progress, console=console, refresh_per_second=4, transient=True, redirect_stdout=False, redirect_stderr=False
    )
