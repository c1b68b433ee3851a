"""How long the workers of a slot may be silent in what they do: a clock of the observer's own, which always runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

from orchestrator.experiment import Resources


class Phase(Enum):
    """What a worker group does; the value is how that is said."""

    STARTING = "starting"
    TAKING = "taking a cell"
    LOADING = "loading images"
    TRAINING = "training"
    IDLE = "waiting for a cell"
    ENDING = "being ended"


# Who looks does so every few seconds. What is longer was spent stopped, as by Ctrl-Z or with the whole machine, like
# those that are looked at.
LONGEST_GAP_S = 30.0

# Ray Train makes and ends groups: nobody but the slot, by its own end, can end one that is not whole.
BY_RAY_TRAIN = (Phase.STARTING, Phase.ENDING)


def gap_of(seconds: float) -> float:
    """Return how many of the seconds between two looks do not count."""
    return max(0.0, seconds - LONGEST_GAP_S)


class Watch:
    """Knows what a worker group does and when it was heard of last; it begins with the start of the first group.

    Args:
        resources: How many ranks there are, and how long they may be silent.
        clock: Seconds, from any origin.

    Attributes:
        phase: What the group does.
    """

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._resources, self._clock = resources, clock
        self.enter(Phase.STARTING)

    def enter(self, phase: Phase) -> None:
        """Note that the group has begun something else: no rank has been heard of in that."""
        self.phase = phase
        self._since = self._looked_at = self._clock()
        self._heard: dict[int, float] = {}

    def hear(self, rank: int) -> None:
        """Take a sign of life."""
        self._heard[rank] = self._clock()

    def excuse(self) -> None:
        """Do not count the time since the last look: nobody could start, for want of resources."""
        self._look(uncounted=self._clock() - self._looked_at)

    @property
    def unheard(self) -> list[int]:
        """The ranks without a sign of life in this phase."""
        return [rank for rank in range(self._resources.workers) if rank not in self._heard]

    def overdue(self) -> str | None:
        """Return what to say if the group has been silent for too long; None if it has not."""
        now = self._look(uncounted=gap_of(self._clock() - self._looked_at))
        silent_s = now - max([self._since, *self._heard.values()])
        key = "start_timeout_s" if self.phase in BY_RAY_TRAIN else "stall_timeout_s"
        limit_s: float = getattr(self._resources, key)
        if self.phase is Phase.IDLE or silent_s < limit_s:
            return None
        limit = f"resources.{key} = {limit_s:g}"
        return f"no sign of life for {silent_s:.0f} s while {self.phase.value}{self._who()} ({limit})"

    def _look(self, *, uncounted: float) -> float:
        """Note that somebody looks, so many seconds of the time since the last look not counted; return the time."""
        now = self._looked_at = self._clock()
        self._since = min(now, self._since + uncounted)
        self._heard = {rank: min(now, heard_at + uncounted) for rank, heard_at in self._heard.items()}
        return now

    def _who(self) -> str:
        """Return in a few words which ranks the others wait for, as far as it is known."""
        if self.phase is Phase.ENDING:
            return ""
        if unheard := self.unheard:
            return f"; rank {', '.join(map(str, unheard))} gave none at all"
        return f"; rank {min(self._heard, key=self._heard.__getitem__)} has been silent longest"
