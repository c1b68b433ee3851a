"""How long a running sweep still takes, by the kinds of its cells: an epoch of one may be ten of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple

from orchestrator.costs.durations import Duration
from orchestrator.costs.estimates import Estimates, makespan_s
from orchestrator.costs.kinds import Kind, Params, kind_of, labels_of
from orchestrator.experiment import Cell

# Of each kind, so many of the last epochs say how long one takes: a machine that slows down is noticed.
LAST = 50


class Left(NamedTuple):
    """What is left of a sweep.

    Attributes:
        seconds: On its slots.
        is_about: Whether some of it is taken from other kinds, or was known before the sweep alone.
    """

    seconds: float
    is_about: bool


class KindLeft(NamedTuple):
    """What is left of the cells of one training.

    Attributes:
        label: Of the training.
        cells: That have not ended.
        epoch_s: Of their epochs, the mean over those that are left.
        seconds: Of one slot.
    """

    label: str
    cells: int
    epoch_s: float
    seconds: float


@dataclass
class _Cell:
    cell: Cell
    kind: Kind
    began_s: float | None = None
    marked_s: float | None = None
    epochs: int = 0
    reached: int = 0


@dataclass
class _Seen:
    column: str = ""
    epochs_s: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))
    once_s: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))


class TimeLeft:
    """Follows the cells of a sweep; every time is in seconds of one clock that is never set.

    Args:
        cells: Those that the sweep runs, in this order.
        slots: How many at a time to begin with; once more are at work, as many as that.
        known: What is known of their kinds before; None for nothing.
        reached: The epoch that cells go on behind, by key.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        *,
        slots: int,
        known: Estimates | None = None,
        reached: Mapping[str, int] | None = None,
    ) -> None:
        self._slots, self._estimates, self._reached = slots, known, reached or {}
        self._workers = 1
        # Of each training; empty until they are asked for, and when there is another cell.
        self._labels: dict[str, str] = {}
        self._open: dict[str, _Cell] = {}
        self._known: dict[Kind, Duration] = {}
        self._seen: dict[Kind, _Seen] = {}
        # Of each kind, until there is something new.
        self._durations: dict[Kind, tuple[Duration, bool] | None] = {}
        self._spent_s = 0.0
        for cell in cells:
            self.add(cell)

    def add(self, cell: Cell) -> None:
        """Take note of a cell that is to be trained, unless it is known."""
        if cell.key in self._open:
            return
        self._workers = cell.workers  # the same for all of a sweep
        kind, self._labels = kind_of(cell), {}
        self._open[cell.key] = _Cell(cell, kind, reached=self._reached.get(cell.key, 0))
        if kind not in self._known and self._estimates and (estimate := self._estimates.of(cell)):
            self._known[kind] = estimate.duration

    def begin(self, cell: Cell, now_s: float) -> None:
        """Take note that workers have a cell and its data: also again, after others had it."""
        if state := self._open.get(cell.key):
            state.began_s = now_s if state.began_s is None else state.began_s
            state.marked_s = now_s

    def replace(self, cell: Cell) -> None:
        """Take note that the workers of a cell are gone: until others have it, it takes nobody's time.

        It is told of when the others come, so that what it took is known until its last epoch only.
        """
        if (state := self._open.get(cell.key)) is not None and state.began_s is not None:
            if state.marked_s is not None:
                self._spent_s += (state.marked_s - state.began_s) * cell.workers
            state.began_s = state.marked_s = None

    def epoch(self, cell: Cell, epoch: int, now_s: float, *, is_new: bool = True) -> KindLeft | None:
        """Take note of the end of an epoch; one that is told again, or of an earlier sweep, is not new.

        Returns:
            What is left of its training, if nothing was known of how long that takes in this sweep before.
        """
        state = self._open.get(cell.key)
        if state is None:
            return None
        state.began_s = now_s if state.began_s is None else state.began_s
        is_first = False
        if is_new and state.marked_s is not None and epoch == state.epochs + 1:
            is_first = not any(kind.training == state.kind.training for kind in self._seen)
            self._see(state).epochs_s.append(now_s - state.marked_s)
        state.epochs, state.marked_s = max(state.epochs, epoch), now_s
        return self._kinds_left(now_s)[state.kind.training] if is_first else None

    def widen(self, slots: int) -> None:
        """Take note that so many are at work at a time from now on."""
        self._slots = slots

    def pause(self, cell: Cell, now_s: float) -> None:
        """Take note that a cell waits, and goes on later or never: its workers have another one."""
        if (state := self._open.get(cell.key)) is not None and state.began_s is not None:
            self._spent_s += (now_s - state.began_s) * cell.workers
            state.began_s = state.marked_s = None

    def end(self, cell: Cell, now_s: float, *, is_done: bool) -> None:
        """Take note that a cell has ended, tested or not."""
        state = self._open.pop(cell.key, None)
        if state is None:
            return
        if is_done and state.marked_s is not None and state.epochs:
            self._see(state).once_s.append(now_s - state.marked_s)
        if state.began_s is not None:
            self._spent_s += (now_s - state.began_s) * cell.workers

    def _see(self, state: _Cell) -> _Seen:
        self._durations = {}
        return self._seen.setdefault(state.kind, _Seen(column_of(state.cell)))

    def left(self, now_s: float) -> Left | None:
        """Return what is left; None as long as nothing is known of how long an epoch takes."""
        told = [self._of(state, now_s) for state in self._in_order()]
        known = [each for each in told if each is not None]
        if len(known) < len(told):
            return None
        return Left(makespan_s([seconds for seconds, _ in known], self._width), any(about for _, about in known))

    @property
    def _width(self) -> int:
        return max(self._slots, sum(state.began_s is not None for state in self._open.values()))

    def of_epochs(self, epochs: Mapping[str, int]) -> Left | None:
        """Return how long so many epochs of each column take (`column_of`); None as long as nothing is known of one."""
        worker_s = self.worker_s_of_epochs(epochs)
        return Left(worker_s / self._workers / self._width, is_about=True) if worker_s is not None else None

    def worker_s_of_epochs(self, epochs: Mapping[str, int]) -> float | None:
        """Return for how long workers are at work for so many epochs of each column, together; None as `of_epochs`.

        Of a column of which none was seen they take what was known of its cells before, else as long as the others.
        """
        found = 0.0
        for column, number in epochs.items():
            if number <= 0:
                continue
            seen = list(self._seen.values())
            of_column = _as_seen(each for each in seen if each.column == column) or self._known_of(column)
            duration = of_column or _as_seen(seen)
            if duration is None:
                return None
            found += number * duration.epoch_s * self._workers
        return found

    def _known_of(self, column: str) -> Duration | None:
        kinds = {state.kind for state in list(self._open.values()) if column_of(state.cell) == column}
        known = [self._known[kind] for kind in kinds if kind in self._known]
        return max(known, key=lambda each: each.epoch_s) if known else None

    def by_kind(self, now_s: float) -> list[KindLeft]:
        """Return what is left of each training of which something is known, the longest first."""
        return sorted(self._kinds_left(now_s).values(), key=lambda kind: kind.seconds, reverse=True)

    @property
    def num_kinds(self) -> int:
        """How many trainings there are, augmentations aside, that have not all ended."""
        return len({state.kind.training for state in self._in_order()})

    def _kinds_left(self, now_s: float) -> dict[Params, KindLeft]:
        found: dict[Params, list[tuple[str, float, float]]] = {}
        self._labels = self._labels or labels_of({state.kind for state in self._in_order()})
        for state in self._in_order():
            duration, told = self._duration(state.kind), self._of(state, now_s)
            if duration is not None and told is not None:
                entry = self._labels[state.kind.training_id], duration[0].epoch_s, told[0]
                found.setdefault(state.kind.training, []).append(entry)
        return {
            training: KindLeft(
                cells[0][0], len(cells), fmean(epoch_s for _, epoch_s, _ in cells), sum(left for *_, left in cells)
            )
            for training, cells in found.items()
        }

    def spent_s(self, now_s: float) -> float:
        """Return for how long workers were at work by now, together; what they waited for at their start is not in."""
        return self._spent_s + sum(
            (now_s - state.began_s) * state.cell.workers for state in self._in_order() if state.began_s is not None
        )

    def worker_s_left(self, now_s: float) -> float | None:
        """Return for how long workers are going to be at work, together; None as `left` does."""
        told = [(state, self._of(state, now_s)) for state in self._in_order()]
        known = [state.cell.workers * found[0] for state, found in told if found is not None]
        return sum(known) if len(known) == len(told) else None

    def _in_order(self) -> list[_Cell]:
        """Return the cells that have not ended, those at work first; another thread may ask while one ends."""
        return sorted(self._open.values(), key=lambda state: state.began_s is None)

    def _of(self, state: _Cell, now_s: float) -> tuple[float, bool] | None:
        """Return the seconds that are left of a cell, and whether they are no more than about right."""
        found = self._duration(state.kind)
        if found is None:
            # Its test alone is left, of which nothing is known.
            return (0.0, True) if state.epochs >= state.cell.train.epochs else None
        duration, is_about = found
        begun_s = min(now_s - state.marked_s, duration.epoch_s) if state.marked_s is not None else 0.0
        # An interrupted one tells its epochs again once it has a slot.
        epochs = max(0, state.cell.train.epochs - max(state.epochs, state.reached))
        return max(0.0, duration.of(epochs) - begun_s), is_about

    def _duration(self, kind: Kind) -> tuple[Duration, bool] | None:
        """Return how long a cell takes, and whether that is no more than about right."""
        durations = self._durations
        if kind not in durations:
            durations[kind] = self._found(kind)
        return durations[kind]

    def _found(self, kind: Kind) -> tuple[Duration, bool] | None:
        """Return it as others of its kind took in this sweep, as was known before, or as cells that are like it."""
        seen = list(self._seen.items())
        if (own := _as_seen(of for other, of in seen if other == kind)) is not None:
            return own, False
        if (known := self._known.get(kind)) is not None:
            return known, True
        alike = _as_seen(of for other, of in seen if other.training == kind.training)
        found = alike or _as_seen(of for _, of in seen)
        return (found, True) if found is not None else None


def column_of(cell: Cell) -> str:
    """Return what the data set and model of a cell are called: the column of a table, and of a search."""
    return f"{cell.dataset.label} / {cell.model.label}"


def _as_seen(seen: Iterable[_Seen]) -> Duration | None:
    of_kinds = list(seen)
    epochs_s = [each for of in of_kinds for each in list(of.epochs_s)]
    once_s = [each for of in of_kinds for each in list(of.once_s)]
    return Duration(median(epochs_s), median(once_s) if once_s else 0.0) if epochs_s else None
