"""Delivers the events of a sweep to MLflow from a thread of its own, so that no training waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import assert_never

from orchestrator.amounts import counted
from orchestrator.data import DataDir
from orchestrator.experiment import Cell
from orchestrator.objects import ObjectsError
from orchestrator.records import (
    CellResult,
    CellRun,
    ClosingEvent,
    EpochResult,
    Failed,
    Interrupted,
    Opened,
    Paused,
    Started,
    Stopped,
    TrackedEvent,
)
from orchestrator.storage import Storage, journal
from orchestrator.tracking.errors import UntellableError, can_pass, has_no_room, is_busy, kind_and_message, message_of
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.rows import SupersededError
from orchestrator.tracking.tellable import facts_of
from orchestrator.tracking.tracker import Tracker
from orchestrator.waiting import watched

# How long a write that failed is left alone: at first, and at most.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# A write that fails so often although MLflow answers will not succeed.
MAX_REFUSALS = 5
# How long to wait at the end for an MLflow that does not answer; an interrupted sweep does not wait so long.
CLOSING_GRACE_S, INTERRUPTED_GRACE_S = 60.0, 3.0

logger = logging.getLogger(__name__)


class Delivery:
    """Writes events in the order in which it is told of them. Use it as a context manager; leaving it waits until all
    are written, but for an MLflow that does not answer not longer than ``closing_grace_s``.

    While MLflow does not answer, everything waits, in the order in which it was told; what it still does not take when
    the sweep ends stays in the cells' folders (`orchestrator.storage.journal`). No cell waits for another one: what
    MLflow refuses although it answers is tried again later, and given up in the end; what cannot be told to MLflow,
    whatever it says, is given up at once. Either is told to MLflow as the reason of the cell's run. Object storage that
    does not answer is waited for as MLflow is.

    Args:
        tracker: Where the results go; its sweep is open.
        warm_up: What the thread does before the first result comes.
        known: The runs that cells already have, by key.
        data_dir: Where the data sets are.
        storage: Where the checkpoints are.
        sweep: The sweep's name.
        say: Shows the user a line.
        delivered: Told of each cell that MLflow has now as far as it was trained; raises nothing.
        read_at: The epochs of a cell that a race reads.

    Attributes:
        closing_grace_s: How long leaving waits for an MLflow that does not answer, in seconds.
        undelivered: Why, by key of the cells that MLflow did not take; complete once it is left.
        untellable: Those of them that MLflow has no part in.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        warm_up: Callable[[], None],
        known: dict[str, CellRun],
        data_dir: DataDir,
        storage: Storage,
        sweep: str,
        say: Callable[[str], None] = logger.warning,
        delivered: Callable[[Cell, CellResult | Paused], None] = lambda *_: None,
        read_at: Callable[[Cell], Collection[int]] = lambda _: (),
    ) -> None:
        self._delivered, self._read_at = delivered, read_at
        self._tracker, self._warm_up, self._known, self._sweep = tracker, warm_up, known, sweep
        self._data_dir, self._storage, self._say = data_dir, storage, say
        self._written: dict[str, list[TrackedEvent]] = {}
        self._outbox = Outbox()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        # Not `Thread.join`: after Ctrl-C in one, a thread that runs counts as ended.
        self._closing, self._at_end = threading.Event(), threading.Event()
        self._gives_up_at = float("inf")
        self._given_up: str | None = None
        # By key: in a race a cell ends more than once.
        self._ended: Counter[str] = Counter()
        self._handled: Counter[str] = Counter()
        # What is told of a cell anew is in its journal while the thread still writes what was told before.
        self._journals = threading.Lock()
        self._opened: dict[str, Opened] = {}
        self._writing_s = 0.0
        self.closing_grace_s = CLOSING_GRACE_S
        self.undelivered: dict[str, str] = {}
        self.untellable: set[str] = set()

    def __enter__(self) -> Delivery:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gives_up_at = time.monotonic() + self.closing_grace_s
        self._closing.set()
        self._outbox.close()
        try:
            with watched(self._what_is_left):
                self._at_end.wait()
        except BaseException:
            # Whoever interrupts the delivery has only what is being written be waited for.
            self._give_up_all("it was interrupted")
            self._at_end.wait(INTERRUPTED_GRACE_S)
            raise
        for key in self._left():
            self.undelivered.setdefault(key, "the delivery ended before it")

    def tell(self, cell: Cell, event: TrackedEvent) -> None:
        """Keep an event on disk and deliver it as soon as possible; `Opened` begins the cell's journal anew."""
        folder = self._storage.cell(cell.key)
        with self._journals:
            if isinstance(event, Opened):
                self._opened[cell.key] = event
                journal.begin(folder)
            journal.append(folder, event)
        self.deliver(cell, event)

    def deliver(self, cell: Cell, event: TrackedEvent) -> None:
        """Deliver an event that is on disk already."""
        if isinstance(event, ClosingEvent):
            self._ended[cell.key] += 1
        self._outbox.put(cell, event)

    def left(self) -> tuple[int, float | None]:
        """Return how many cells that have ended are not delivered yet, and about how many seconds that will take."""
        left, num_handled = len(self._left()), self._handled.total()
        return left, left * self._writing_s / num_handled if num_handled else None

    def _left(self) -> list[str]:
        return [key for key, num in self._ended.copy().items() if num > self._handled[key]]

    def _what_is_left(self) -> str | None:
        left, seconds = self.left()
        text = f"delivering to MLflow: {counted(left, 'cell')} left"
        return f"{text}, {timedelta(seconds=round(seconds))}" if seconds is not None else text

    def _run(self) -> None:
        try:
            # While the workers start, and not while they train the second cell.
            self._warm_up()
        except BaseException:
            logger.exception("the warm-up failed; the first model will be logged more slowly, or show why it cannot")
        try:
            self._deliver_all()
        except BaseException as error:
            # Nobody else notices the end of a thread.
            logger.exception("the delivery ended")
            self._show(f"the delivery to MLflow has ended: {kind_and_message(error)}; the results wait on disk")
        finally:
            self._at_end.set()

    def _deliver_all(self) -> None:
        while (entry := self._outbox.next(self._pause_at_end)) is not None:
            cell, event = entry
            if self._given_up is not None:
                self.undelivered.setdefault(cell.key, self._given_up)
            elif cell.key not in self.undelivered:
                try:
                    self._deliver(cell, event)
                except BaseException as error:
                    # The other cells have no part in it.
                    logger.exception("the delivery of %s failed", cell.label)
                    ended = f"{type(error).__name__} ended its delivery"
                    self.undelivered[cell.key] = message_of(error) if isinstance(error, Exception) else ended
            if cell.key in self.undelivered:
                self._outbox.drop(cell)
                self._handled[cell.key] = self._ended[cell.key]

    def _deliver(self, cell: Cell, event: TrackedEvent) -> None:
        """Write something, again and again while MLflow does not answer; hold it back if MLflow answers."""
        pause_s, again = FIRST_PAUSE_S, ""
        while (problem := self._tried(cell, event)) is not None:
            if not can_pass(problem):
                self._give_up(cell, problem)
                return
            # A locked or full database is waited for as long as there is time: it would answer who only reads.
            if has_no_room(problem) or (not is_busy(problem) and self._tracker.store.answers()):
                self._hold_back(cell, event, problem)
                return
            reason = message_of(problem)
            if time.monotonic() + pause_s > self._gives_up_at:
                self.undelivered[cell.key] = reason
                self._give_up_all(reason)
                return
            if not again:
                if isinstance(problem, ObjectsError):
                    what, where, again = "results cannot be read", "", "results can be read again"
                else:
                    what, where, again = "MLflow does not take results", " on disk", "MLflow takes results again"
                self._show(f"{what}: {reason}; training goes on, the results wait{where}")
            self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if again:
            self._show(again)

    def _hold_back(self, cell: Cell, event: TrackedEvent, problem: Exception) -> None:
        """Have a cell wait by itself until it is tried again, or give it up; for room it waits until the end."""
        held = self._outbox.hold_back(cell, event)
        held.due_at = time.monotonic() + min(FIRST_PAUSE_S * 2 ** (held.refusals - 1), LONGEST_PAUSE_S)
        if (held.refusals > MAX_REFUSALS and not has_no_room(problem)) or held.due_at > self._gives_up_at:
            self._give_up(cell, problem)
        elif held.refusals == 1:
            # The disk may be that of the folder for temporary files, which MLflow has no part in.
            what = "there is no room for" if has_no_room(problem) else "MLflow does not take"
            which = f"{what} a result of cell {cell.key} ({cell.label})"
            self._show(f"{which}: {message_of(problem)}; it is tried again, the other cells go on")

    def _give_up_all(self, reason: str) -> None:
        """Leave for another day whatever is not written yet."""
        self._given_up = reason
        self._outbox.hasten(0.0)

    def _give_up(self, cell: Cell, problem: Exception) -> None:
        """Leave a cell for another day, and have MLflow say why."""
        self._written.pop(cell.key, None)
        self.undelivered[cell.key] = message_of(problem)
        if isinstance(problem, UntellableError | ObjectsError):
            self.undelivered[cell.key] = problem.in_one_line
        if isinstance(problem, UntellableError):
            self.untellable.add(cell.key)
            self._show(f"cannot be told to MLflow: cell {cell.key} ({cell.label}): {message_of(problem)}")
        try:
            self._tracker.give_up_cell(cell, problem)
        except Exception:
            # It says so itself at the end.
            logger.exception("MLflow did not take why it has no result of %s", cell.label)

    def _show(self, line: str) -> None:
        try:
            self._say(line)
        except OSError:
            pass  # the terminal is gone, or the file behind it has no room
        except Exception:
            # A line that cannot be shown is no result that was not delivered.
            logger.exception("not shown: %s", line)

    def _tried(self, cell: Cell, event: TrackedEvent) -> Exception | None:
        """Write something; return what went wrong, if something did."""
        began_at = time.monotonic()
        try:
            self._write(cell, event)
            self._writing_s += time.monotonic() - began_at
        except Exception as error:
            # Whatever goes wrong with one cell's tracking must not end the sweep; it is said at the end.
            logger.exception("a result of %s was not delivered", cell.label)
            return error
        return None

    def _pause(self, seconds: float) -> None:
        """Wait; the end of the sweep cuts it short, once."""
        if self._closing.is_set():
            time.sleep(seconds)
        else:
            self._closing.wait(seconds)

    def _pause_at_end(self, seconds: float) -> None:
        """Wait, until it is given up at most: what is held back is tried once more then."""
        self._outbox.hasten(self._gives_up_at)
        time.sleep(max(0.0, min(seconds, self._gives_up_at - time.monotonic())))

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
            written.clear()
            self._outbox.replace(cell, [*kept, event])
            return
        written.append(event)
        self._outbox.written(cell)
        if isinstance(event, ClosingEvent | Stopped):
            self._tidy(cell, event, self._written.pop(cell.key))
        if isinstance(event, CellResult | Paused):
            self._delivered(cell, event)
        if isinstance(event, ClosingEvent):
            self._handled[cell.key] += 1

    def _tidy(self, cell: Cell, event: ClosingEvent | Stopped, written: Sequence[TrackedEvent]) -> None:
        """Remove what MLflow has; where that is not possible, it does no harm."""
        try:
            if isinstance(event, CellResult):
                self._storage.cell(cell.key).shrink()
            with self._journals:
                if self._opened.get(cell.key) in (None, written[0]):
                    journal.remove(self._storage.cell(cell.key))
        except OSError as error:
            logger.exception("%s could not be tidied", self._storage.cell(cell.key).shown())
            self._show(f"MLflow has cell {cell.key} ({cell.label}), whose files cannot be removed: {message_of(error)}")

    def _write_once(self, cell: Cell, event: TrackedEvent, earlier: Sequence[TrackedEvent]) -> None:
        tracker = self._tracker
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
                folder = self._storage.cell(cell.key)
                facts = facts_of(earlier, folder)
                tracker.finish_cell(cell, event, facts, folder=folder, read_at=self._read_at(cell))
            case Paused():
                tracker.pause_cell(cell, event, read_at=self._read_at(cell))
            case Stopped():
                tracker.stop_cell(cell, event, self._known.get(cell.key))
            case Failed(reason, is_lost):
                tracker.fail_cell(cell, reason, is_lost=is_lost)
            case Interrupted():
                tracker.interrupt_cell(cell)
            case _:
                assert_never(event)
