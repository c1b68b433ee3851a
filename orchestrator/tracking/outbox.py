"""What waits to be written to MLflow, in the order in which it came; but no cell waits for one that is held back."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.experiment import Cell
from orchestrator.records import TrackedEvent


@dataclass
class HeldBack:
    """A cell whose events wait by themselves.

    Attributes:
        cell: Which.
        events: What is to be written, in this order.
        refusals: How often the first of them was refused.
        due_at: When it is tried again, on the monotonic clock.
    """

    cell: Cell
    events: deque[TrackedEvent] = field(default_factory=deque)
    refusals: int = 0
    due_at: float = 0.0


class Outbox:
    """Gives out events to one thread, which says of each what became of it; others put them in."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Cell, TrackedEvent] | None] = queue.SimpleQueue()
        self._held: dict[str, HeldBack] = {}

    def put(self, cell: Cell, event: TrackedEvent) -> None:
        """Add an event."""
        self._queue.put((cell, event))

    def close(self) -> None:
        """Say that there are no more."""
        self._queue.put(None)

    def next(self, pause: Callable[[float], None]) -> tuple[Cell, TrackedEvent] | None:
        """Return what is to be written next, as soon as there is something; None when all is written.

        Args:
            pause: How to wait for so many seconds, when only cells that are held back are left.
        """
        while True:
            first = min(self._held.values(), key=lambda held: held.due_at, default=None)
            if first is not None and first.due_at <= time.monotonic():
                return first.cell, first.events[0]
            try:
                entry = self._queue.get(timeout=max(0.0, first.due_at - time.monotonic()) if first else None)
            except queue.Empty:
                continue
            if entry is None:
                if first is None:
                    return None
                self.close()
                pause(max(0.0, first.due_at - time.monotonic()))
            elif entry[0].key in self._held:
                self._held[entry[0].key].events.append(entry[1])
            else:
                return entry

    def written(self, cell: Cell) -> None:
        """Go on to the next event of a cell; its last one is written."""
        if held := self._held.get(cell.key):
            held.events.popleft()
            held.refusals, held.due_at = 0, 0.0
            if not held.events:
                del self._held[cell.key]

    def replace(self, cell: Cell, events: Sequence[TrackedEvent]) -> None:
        """Give out `events` in place of the one of the cell that is out now, and before everything else."""
        held = self._held.setdefault(cell.key, HeldBack(cell))
        held.events = deque([*events, *list(held.events)[1:]])
        held.refusals, held.due_at = 0, 0.0

    def hold_back(self, cell: Cell, event: TrackedEvent) -> HeldBack:
        """Have a cell, whose `event` is out and was refused, wait by itself; the caller says until when."""
        held = self._held.setdefault(cell.key, HeldBack(cell, deque([event])))
        held.refusals += 1
        return held

    def hasten(self, latest: float) -> None:
        """Have everything that is held back be due at `latest`, on the monotonic clock, or before."""
        for held in list(self._held.values()):
            held.due_at = min(held.due_at, latest)

    def drop(self, cell: Cell) -> None:
        """Forget what is held back of a cell."""
        self._held.pop(cell.key, None)
