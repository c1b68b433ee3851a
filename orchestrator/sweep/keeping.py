"""Has what a cell's training writes be kept where that takes time, and nobody wait for it before the end.

All ranks go through it alike. What goes wrong with it is no fault of the training: it is a `LostError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.errors import LostError
from orchestrator.storage import Work
from orchestrator.waiting import waiting_for

# How often whoever waits gives a sign of life.
BEAT_EVERY_S = 1.0


class Keeping:
    """What is kept of one cell's training.

    Args:
        work: Where it writes.
        shown: Where that is kept, for people.
        from_rank_0: Returns on every rank what something returns on rank 0.
        on_wait: Called again and again while it is waited.
    """

    def __init__(
        self, work: Work, shown: str, *, from_rank_0: Callable[[Callable[[], Any]], Any], on_wait: Callable[[], None]
    ) -> None:
        self._work, self._shown, self._from_rank_0, self._on_wait = work, shown, from_rank_0, on_wait

    def then(self, act: Callable[[], object]) -> None:
        """Have rank 0 do something once all that was written by now is kept, and go on; see `Work.then`.

        Raises:
            LostError: Nothing is kept any more; on every rank at once.
        """

        def ask() -> str | None:
            self._work.then(act)
            return self._work.problem

        self._raise(self._from_rank_0(ask))

    def wait(self) -> None:
        """Wait until all that was written is kept, and what was to follow is done.

        Raises:
            LostError: It cannot be; on every rank at once.
        """
        with waiting_for(f"{self._shown} to take checkpoints"):
            self._on_wait()
            while not self._from_rank_0(lambda: self._work.is_kept(BEAT_EVERY_S)):
                self._on_wait()
        self._raise(self._from_rank_0(lambda: self._work.problem))

    def _raise(self, problem: str | None) -> None:
        if problem is not None:
            raise LostError(problem)
