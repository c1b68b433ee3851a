"""Delivers the events of a sweep to MLflow from a thread of its own, so that no training waits for it."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import assert_never

from orchestrator.experiment import Cell
from orchestrator.records import (
    CellResult,
    CellRun,
    ClosingEvent,
    EpochResult,
    Failed,
    Interrupted,
    Opened,
    Started,
    TrackedEvent,
)
from orchestrator.storage import Storage, journal
from orchestrator.tracking.errors import can_pass, is_busy, message_of
from orchestrator.tracking.rows import SupersededError
from orchestrator.tracking.tracker import Tracker

# Half the share of a worker on the same core, which Ray gives 15.
NICENESS = 19
# How long a write that failed is left alone: at first, and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# A write that fails so often although MLflow answers will not succeed: it holds up the others no longer.
MAX_REFUSALS = 5
# How long to wait at the end for an MLflow that does not answer.
CLOSING_GRACE_S = 60.0

logger = logging.getLogger(__name__)


class Delivery:
    """Writes events in the order in which it is told of them. Use it as a context manager; leaving it waits until all
    are written, but for an MLflow that does not answer not longer than ``closing_grace_s``.

    While MLflow does not answer, everything waits, in the order in which it was told; what it still does not take when
    the sweep ends stays in the cells' folders (`orchestrator.storage.journal`). A cell that MLflow refuses is given up
    for this sweep, and the others go on.

    Args:
        tracker: Where the results go; its sweep is open.
        warm_up: What the thread does before the first result comes.
        known: The runs that cells already have, by key.
        data_dir: Where the data sets are.
        storage: Where the checkpoints are.
        sweep: The sweep's name.
        say: Shows the user a line.

    Attributes:
        closing_grace_s: How long leaving waits for an MLflow that does not answer, in seconds.
        undelivered: Why, by key of the cells that MLflow did not take; complete once it is left.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        warm_up: Callable[[], None],
        known: dict[str, CellRun],
        data_dir: Path,
        storage: Storage,
        sweep: str,
        say: Callable[[str], None] = logger.warning,
    ) -> None:
        self._tracker, self._warm_up, self._known, self._sweep = tracker, warm_up, known, sweep
        self._data_dir, self._storage, self._say = data_dir, storage, say
        self._written: dict[str, list[TrackedEvent]] = {}
        self._queue: queue.SimpleQueue[tuple[Cell, TrackedEvent] | None] = queue.SimpleQueue()
        self._redo: deque[tuple[Cell, TrackedEvent]] = deque()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._closing = threading.Event()
        self._gives_up_at = float("inf")
        self._given_up: str | None = None
        self.closing_grace_s = CLOSING_GRACE_S
        self.undelivered: dict[str, str] = {}

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gives_up_at = time.monotonic() + self.closing_grace_s
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def tell(self, cell: Cell, event: TrackedEvent) -> None:
        """Keep an event on disk and deliver it as soon as possible; `Opened` begins the cell's journal anew."""
        folder = self._folder(cell)
        if isinstance(event, Opened):
            journal.begin(folder)
        journal.append(folder, event)
        self.deliver(cell, event)

    def deliver(self, cell: Cell, event: TrackedEvent) -> None:
        """Deliver an event that is on disk already."""
        self._queue.put((cell, event))

    def _run(self) -> None:
        if sys.platform == "linux":
            # Exporting a model takes seconds of a core that a worker may be training on; here a thread has its own
            # priority, elsewhere it would be the whole driver's.
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            # While the workers start, and not while they train the second cell.
            self._warm_up()
        except BaseException:
            logger.exception("the warm-up failed; the first model will be logged more slowly, or show why it cannot")
        while (entry := self._next()) is not None:
            cell, event = entry
            if self._given_up is not None:
                self.undelivered.setdefault(cell.key, self._given_up)
            elif cell.key not in self.undelivered:
                try:
                    self._deliver(cell, event)
                except BaseException as error:
                    # Without this thread everything would be lost without a word.
                    logger.exception("the delivery of %s failed", cell.label)
                    ended = f"{type(error).__name__} ended its delivery"
                    self.undelivered[cell.key] = message_of(error) if isinstance(error, Exception) else ended

    def _next(self) -> tuple[Cell, TrackedEvent] | None:
        return self._redo.popleft() if self._redo else self._queue.get()

    def _deliver(self, cell: Cell, event: TrackedEvent) -> None:
        """Write something, again and again while MLflow does not answer."""
        pause_s, refusals, said = FIRST_PAUSE_S, 0, False
        while (problem := self._tried(cell, event)) is not None:
            reason = message_of(problem)
            # A full disk and a lock are waited for as long as there is time: the database would answer who only reads.
            refusals += not is_busy(problem) and self._tracker.store.answers()
            late = time.monotonic() + pause_s > self._gives_up_at
            if not can_pass(problem) or late or refusals > MAX_REFUSALS:
                self.undelivered[cell.key] = reason
                if late:
                    self._given_up = reason
                return
            if not said:
                self._show(f"MLflow does not take results: {reason}; training goes on, they wait on disk")
                said = True
            self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if said:
            self._show("MLflow takes results again")

    def _show(self, line: str) -> None:
        with suppress(OSError):  # the terminal is gone, or the file behind it has no room
            self._say(line)

    def _tried(self, cell: Cell, event: TrackedEvent) -> Exception | None:
        """Write something; return what went wrong, if something did."""
        try:
            self._write(cell, event)
        except Exception as error:
            # Whatever goes wrong with one cell's tracking must not end the sweep; it is said at the end.
            logger.exception("MLflow did not take a result of %s", cell.label)
            return error
        return None

    def _pause(self, seconds: float) -> None:
        """Wait; the end of the sweep cuts it short, once."""
        if self._closing.is_set():
            time.sleep(seconds)
        else:
            self._closing.wait(seconds)

    def _write(self, cell: Cell, event: TrackedEvent) -> None:
        written = self._written.setdefault(cell.key, [])
        try:
            self._write_once(cell, event, written)
        except SupersededError:
            # The numbers that MLflow has are those of a training that was lost: the cell gets another run.
            assert isinstance(event, EpochResult)
            self._tracker.discard_cell(cell)
            self._known.pop(cell.key, None)
            kept = [each for each in written if not isinstance(each, EpochResult) or each.epoch < event.epoch]
            self._redo.extend((cell, each) for each in [*kept, event])
            written.clear()
            return
        written.append(event)
        if isinstance(event, ClosingEvent):
            del self._written[cell.key]
            journal.remove(self._folder(cell))

    def _write_once(self, cell: Cell, event: TrackedEvent, earlier: Sequence[TrackedEvent]) -> None:
        tracker, folder = self._tracker, self._folder(cell)
        match event:
            case Opened(timestamp_ms):
                tracker.open_cell(cell, self._known.get(cell.key), sweep=self._sweep, timestamp_ms=timestamp_ms)
            case Started(facts):
                tracker.log_started(cell, facts, data_dir=self._data_dir)
            case EpochResult():
                if event.epoch == 1:
                    tracker.log_audit(cell, self._storage.cell(cell.key).audit, timestamp_ms=event.timestamp_ms)
                tracker.log_epoch(cell, event)
            case CellResult():
                facts = next(each.facts for each in earlier if isinstance(each, Started))
                tracker.finish_cell(cell, event, facts, checkpoint_dir=folder)
                self._storage.cell(cell.key).shrink()
            case Failed(reason):
                tracker.fail_cell(cell, reason)
            case Interrupted():
                tracker.interrupt_cell(cell)
            case _:
                assert_never(event)

    def _folder(self, cell: Cell) -> Path:
        return self._storage.cell(cell.key).path
