"""How a training notices, between two steps, that something is requested of it, on all ranks at the same step."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum

from orchestrator.train.ranks import Ranks

# So long may pass before a training notices a request; each poll costs the ranks one small reduction.
POLL_EVERY_S = 1.0


class Request(IntEnum):
    """What is requested of a training; of several, the highest counts."""

    GO_ON = 0
    # Write a checkpoint: a node is about to be taken away, and what it holds is lost.
    SAVE = 1
    # Write a checkpoint and give the cell up: nobody waits for it any more.
    STOP = 2
    # Write a checkpoint and end the process, which is about to be killed; another will go on with the cell.
    LEAVE = 3


Poll = Callable[[], Request]


class StoppedError(Exception):
    """A training that was saved as far as it had come and given up; raised on every rank at once.

    Attributes:
        request: ``STOP`` or ``LEAVE``.
        is_saved: False if it could not be saved.
    """

    def __init__(self, request: Request, *, is_saved: bool = True) -> None:
        super().__init__(request.name)
        self.request, self.is_saved = request, is_saved


class Requests:
    """Polls about once a second, and agrees with the other ranks on the request.

    Args:
        ranks: Of the training.
        poll: Called on each rank; it is also the training's heartbeat for whoever watches it.
        checkpoint_every_s: A training that has not been saved for so long is requested to save.
    """

    def __init__(self, ranks: Ranks, *, poll: Poll, checkpoint_every_s: float) -> None:
        self._ranks, self._poll, self._checkpoint_every_s = ranks, poll, checkpoint_every_s
        self._interval = self._steps_left = 1
        self._polled_at = self._saved_at = time.monotonic()

    def after_step(self) -> Request:
        """Return what is requested; all ranks call it after each step, and it polls after every few only."""
        self._steps_left -= 1
        return Request.GO_ON if self._steps_left else self.now()

    def now(self) -> Request:
        """Poll at once, and return what is requested; all ranks call it together."""
        request, now = self._poll(), time.monotonic()
        if now - self._saved_at >= self._checkpoint_every_s:
            request = max(request, Request.SAVE)
        # How many steps fit into the time; a step of another kind may take much longer, so it grows slowly.
        step_s = max((now - self._polled_at) / self._interval, 1e-6)
        interval = max(1, min(2 * self._interval, int(POLL_EVERY_S / step_s)))
        agreed, minus_interval = self._ranks.largest([int(request), -interval])
        self._interval = self._steps_left = -minus_interval
        self._polled_at = time.monotonic()
        return Request(agreed)

    def saved(self) -> None:
        """Note that the training has just been saved."""
        self._saved_at = time.monotonic()
