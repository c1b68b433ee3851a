"""The mailbox between a slot and its workers: hands cells out, takes their events back, and outlives the workers.

It is a plain asyncio class, so that it can be tested without a cluster; `orchestrator.sweep.slot` makes it an actor.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from ray.util.placement_group import PlacementGroup

from orchestrator.amounts import counted
from orchestrator.errors import first_line
from orchestrator.records import Event, Failed, LastEvent, Remark, Replaced


@dataclass(frozen=True)
class Job:
    """One cell handed to a worker group.

    Attributes:
        number: Counts the submitted cells; an event of a job with another number is stale.
        attempt: Counts how often it was handed out: 1 for the first worker group, 2 after that group died, and so on.
        cell: The cell as plain data.
    """

    number: int
    attempt: int
    cell: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """A process of a worker group, so that it can be ended if it hangs.

    Attributes:
        node_id: The node that it runs on.
        pid: Its process there.
        placement_group: What holds the resources of its group; None outside of one.
    """

    node_id: str
    pid: int
    placement_group: PlacementGroup | None = None


NO_MESSAGE = "the workers died without a message (killed, or out of memory)"
EXCUSED = "a worker was told to end (SIGTERM, or its node goes): no failure"


class Mailbox:
    """Holds the cell in flight until its result or its failure is posted; the outbox holds events for the slot.

    A worker group that was restarted is handed the same cell again, until `max_failures` attempts were accepted and
    died. The group is the one whose rank 0 joined last: another may outlive its node's raylet, and is handed nothing.
    The mailbox lives and dies with the slot that owns it: workers whose slot is gone get no acknowledgement, and stop.

    Args:
        max_failures: Of one cell; attempts that were excused are not counted.
    """

    def __init__(self, *, max_failures: int) -> None:
        self._max_failures = max_failures
        self._job: Job | None = None
        self._number = 0
        self._last_error = NO_MESSAGE
        self._noted: Job | None = None
        self._members: dict[int, Member] = {}
        self._beaten_at: float | None = None
        self._accepted: set[int] = set()
        self._excused: set[int] = set()
        self._outbox: asyncio.Queue[Event] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._closed = False

    async def submit(self, cell: dict[str, Any]) -> None:
        """Hand out `cell` next, in place of one that is still in flight."""
        async with self._changed:
            self._number += 1
            self._job = Job(number=self._number, attempt=0, cell=cell)
            self._last_error = NO_MESSAGE
            self._beaten_at = None
            self._accepted, self._excused = set(), set()
            self._outbox = asyncio.Queue()
            self._changed.notify_all()

    async def join(self, rank: int, member: Member) -> None:
        """Make a process known as this rank of the worker group."""
        async with self._changed:
            self._members[rank] = member
            self._beaten_at = None
            self._changed.notify_all()

    async def next_job(self, member: Member) -> Job | None:
        """Wait for a cell and return it; None when the slot is closed. Rank 0 of a worker group calls it.

        Also None once another group has joined: whoever waits here is dead or forgotten, and must not take its cell.
        """
        async with self._changed:
            while not self._closed and self._members.get(0) == member:
                if self._job is not None and (failures := self._failures()) >= self._max_failures:
                    reason = f"{self._last_error} ({counted(failures, 'attempt')})"
                    self._finish(Failed(reason))
                if self._job is not None:
                    if self._job.attempt in self._accepted:
                        self._outbox.put_nowait(Replaced(self._death_of(self._job)))
                    self._job = Job(self._job.number, self._job.attempt + 1, self._job.cell)
                    self._beaten_at = None
                    return self._job
                await self._changed.wait()
        return None

    async def accept(self, job: Job) -> None:
        """Count this attempt from now on: all ranks of the group have the cell, none died while they waited for it."""
        if job == self._job:
            self._accepted.add(job.attempt)

    async def post(self, job: Job, event: Event) -> bool:
        """Take an event of `job`; drop it and return False if that is not the cell in flight any more."""
        if not await self.beat(job):
            return False
        if isinstance(event, LastEvent):
            self._finish(event)
        else:
            self._outbox.put_nowait(event)
        return True

    async def remark(self, text: str) -> None:
        """Take what a worker has to say. No heartbeat: one that hangs says what it waits for, too."""
        if self._job is not None:
            self._outbox.put_nowait(Remark(text))

    async def beat(self, job: Job) -> bool:
        """Take a heartbeat of the group that trains `job`; return False if nobody waits for that any more."""
        if self._closed or job != self._job:
            return False
        self._beaten_at = time.monotonic()
        return True

    async def silent_s(self) -> float | None:
        """Return how long ago the group that trains gave its last heartbeat; None while none trains."""
        return None if self._job is None or self._beaten_at is None else time.monotonic() - self._beaten_at

    async def give_up(self, reason: str) -> list[Member]:
        """Remember `reason` for the attempt under way and return the processes to be ended, by rank."""
        if self._job is not None:
            await self.note_error(self._job, reason)
        self._beaten_at = None
        return [member for _, member in sorted(self._members.items())]

    async def placement_group(self) -> PlacementGroup | None:
        """Return what holds the resources of the group whose rank 0 joined last; None before one has."""
        return self._members[0].placement_group if 0 in self._members else None

    async def excuse(self, job: Job) -> None:
        """Do not count this attempt: the group loses a process that is taken away, and not over the cell."""
        if job == self._job:
            self._excused.add(job.attempt)

    async def note_error(self, job: Job, reason: str) -> None:
        """Remember why the worker group is about to exit; it becomes the cell's reason if no attempt is left.

        The first rank to say so in an attempt is the one that failed: the others lose their peer.
        """
        if job == self._job and job != self._noted:
            self._noted, self._last_error = job, reason

    async def receive(self, timeout_s: float) -> Event | None:
        """Return the next event, or None after `timeout_s`."""
        try:
            return await asyncio.wait_for(self._outbox.get(), timeout_s)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Let the workers end their loop: nothing is handed out or accepted any more."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _failures(self) -> int:
        return len(self._accepted - self._excused)

    def _death_of(self, job: Job) -> str:
        """Return in a line why the group that had `job` is gone."""
        if job.attempt in self._excused:
            return EXCUSED
        reason = self._last_error if job == self._noted else NO_MESSAGE
        return f"{first_line(reason)}: failure {self._failures()} of {self._max_failures}"

    def _finish(self, event: LastEvent) -> None:
        self._job = None
        self._outbox.put_nowait(event)
