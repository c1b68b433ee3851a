"""How a training notices, between two steps, that something is wanted of it, on all ranks at the same step."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum

from orchestrator.train.ranks import Ranks

# So long may pass before a training notices; each time costs the ranks one small reduction.
LOOK_EVERY_S = 1.0


class Demand(IntEnum):
    """What is wanted of a training; of several, the highest counts."""

    GO_ON = 0
    # A node is about to be taken away: what is lost with it starts here.
    SAVE = 1
    # Nobody waits for this cell any more.
    STOP = 2
    # This process is about to be ended; another will go on.
    LEAVE = 3


Poll = Callable[[], Demand]


class StoppedError(Exception):
    """A training that was saved as far as it had come and given up; raised on every rank at once.

    Attributes:
        demand: ``STOP`` or ``LEAVE``.
    """

    def __init__(self, demand: Demand) -> None:
        super().__init__(demand.name)
        self.demand = demand


class Lookout:
    """Asks `poll` about once a second, and agrees with the other ranks on the answer.

    Args:
        ranks: Of the training.
        poll: Asked on each rank; it also shows whoever watches that the training is alive.
        checkpoint_every_s: A training that has not been saved for so long is to be saved.
    """

    def __init__(self, ranks: Ranks, *, poll: Poll, checkpoint_every_s: float) -> None:
        self._ranks, self._poll, self._checkpoint_every_s = ranks, poll, checkpoint_every_s
        self._interval = self._steps_left = 1
        self._looked_at = self._saved_at = time.monotonic()

    def look(self) -> Demand:
        """Return what is wanted; called by all ranks after each step, the ranks agree every few steps only."""
        self._steps_left -= 1
        return Demand.GO_ON if self._steps_left else self.ask()

    def ask(self) -> Demand:
        """Return what is wanted, agreed on at once."""
        demand, now = self._poll(), time.monotonic()
        if now - self._saved_at >= self._checkpoint_every_s:
            demand = max(demand, Demand.SAVE)
        # How many steps fit into the time; a step of another kind may take much longer, so it grows slowly.
        step_s = max((now - self._looked_at) / self._interval, 1e-6)
        interval = max(1, min(2 * self._interval, int(LOOK_EVERY_S / step_s)))
        agreed, minus_interval = self._ranks.largest([int(demand), -interval])
        self._interval = self._steps_left = -minus_interval
        self._looked_at = time.monotonic()
        return Demand(agreed)

    def saved(self) -> None:
        """Say that the training has just been saved."""
        self._saved_at = time.monotonic()
