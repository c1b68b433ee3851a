"""A worker's questions to its mailbox: asked again while it cannot be reached, which is said once it can."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError

# How long a mailbox that cannot be reached is asked again: a cable that is pulled and put back.
REACHED_WITHIN_S, ASKED_EVERY_S = 60.0, 1.0


class Line:
    """What a worker reaches its mailbox by; it may be cut, and nothing is lost if it is mended in time.

    Args:
        mailbox: Handle of the slot's `Mailbox`, which does not do twice what it is asked twice.
        name: Of the worker, as the user is told of it.
    """

    def __init__(self, mailbox: Any, name: str) -> None:
        self._mailbox, self._name = mailbox, name

    def ask(self, method: str, *arguments: Any) -> Any:
        """Return the mailbox's answer; one that cannot be reached is asked again for a minute.

        Raises:
            ray.exceptions.RayActorError: It is gone, or could not be reached.
        """
        since: float | None = None
        while True:
            try:
                if since is not None:
                    self._say_how_long(since)
                return self._call(method, *arguments)
            except ActorUnavailableError:
                since = time.monotonic() if since is None else since
                if time.monotonic() - since > REACHED_WITHIN_S:
                    raise
                time.sleep(ASKED_EVERY_S)

    def _say_how_long(self, since: float) -> None:
        """Say it once it can be reached; before the question, with which the cell may end, and nobody would listen."""
        # Asked only for an answer: what is said while answers are lost would be said again.
        self._call("started_by")
        self._call("remark", f"{self._name} could not reach its mailbox for {time.monotonic() - since:.0f} s")

    def _call(self, method: str, *arguments: Any) -> Any:
        return ray.get(getattr(self._mailbox, method).remote(*arguments))
