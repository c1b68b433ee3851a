"""Where slots get what they train next: a trial of Tune is a ticket, and its leg is found here.

A slot whose ticket has no leg yet waits, and is warm when it gets one. Were it for Tune to wait, with no trial to run,
Tune would end the slot: at every rung of a race.

It is a plain asyncio class, so that it can be tested without a cluster; `orchestrator.sweep.tuner` makes it an actor.
It decides nothing: the driver says which ticket gets which leg, and says it again to a slot that still waits, so that
what it loses when it dies is told anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """A leg as plain data.

    Attributes:
        cell: That is trained.
        until: This epoch.
    """

    cell: dict[str, Any]
    until: int


@dataclass(frozen=True)
class GetReady:
    """Has a slot start its workers and say where they are: which leg it is given depends on that."""


class Dispatcher:
    """Holds the legs that the driver has given to tickets until their slots take them."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task | GetReady] = {}
        self._changed = asyncio.Condition()

    async def give(self, ticket: str, task: Task | GetReady) -> None:
        """Give a ticket its leg, or what comes before."""
        async with self._changed:
            self._tasks[ticket] = task
            self._changed.notify_all()

    async def take(self, ticket: str, timeout_s: float) -> Task | GetReady | None:
        """Return what a ticket was given, once; None if that is nothing after `timeout_s`."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: ticket in self._tasks), timeout_s)
            except TimeoutError:
                return None
            return self._tasks.pop(ticket)

    async def forget(self, ticket: str) -> None:
        """Take back what a ticket was given and did not take."""
        self._tasks.pop(ticket, None)
