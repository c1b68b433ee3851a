"""The mailbox between a slot and its workers: hands cells out, takes messages back, and outlives the workers.

It is a plain asyncio class, so that it can be tested without a cluster; `orchestrator.sweep.slot` makes it an actor.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.amounts import counted


@dataclass(frozen=True)
class Job:
    """One cell handed to a worker group.

    Attributes:
        number: Counts the submitted cells; a message with another number is stale.
        attempt: Counts how often it was handed out: 1 for the first worker group, 2 after that group died, and so on.
        cell: The cell as plain data.
    """

    number: int
    attempt: int
    cell: dict[str, Any]


@dataclass(frozen=True)
class Message:
    """What a worker group says of a cell.

    Attributes:
        kind: ``started`` (what it runs on and with which data), ``epoch``, ``waiting``, ``replaced`` (the group died,
            another has the cell), ``done`` or ``failed``.
        body: The fields of an ``EpochResult`` or a ``CellResult``, ``{"reason": ...}`` of a failure, of waiting or of a
            death, or the facts of a start.
    """

    kind: Literal["started", "epoch", "waiting", "replaced", "done", "failed"]
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """A process of a worker group, so that it can be ended if it hangs."""

    node_id: str
    pid: int


NO_MESSAGE = "the workers died without a message (killed, or out of memory)"
EXCUSED = "a worker was told to end (SIGTERM, or its node goes): no failure"


class Mailbox:
    """Holds the cell in flight until a message says that it is done or failed.

    A worker group that was restarted is handed the same cell again, until `max_failures` groups have died over it. The
    group is the one whose rank 0 joined last: another may outlive its node's raylet, and is handed nothing. The mailbox
    lives and dies with the slot that owns it: workers whose slot is gone get no acknowledgement, and stop.
    """

    def __init__(self, *, max_failures: int) -> None:
        self._max_failures = max_failures
        self._job: Job | None = None
        self._number = 0
        self._last_error = NO_MESSAGE
        self._noted: Job | None = None
        self._members: dict[int, Member] = {}
        self._alive_at: float | None = None
        self._accepted: set[int] = set()
        self._excused: set[int] = set()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._closed = False

    async def submit(self, cell: dict[str, Any]) -> None:
        """Hand out `cell` next, in place of one that is still in flight."""
        async with self._changed:
            self._number += 1
            self._job = Job(number=self._number, attempt=0, cell=cell)
            self._last_error = NO_MESSAGE
            self._alive_at = None
            self._accepted, self._excused = set(), set()
            self._outbox = asyncio.Queue()
            self._changed.notify_all()

    async def join(self, rank: int, member: Member) -> None:
        """Make a process known as this rank of the worker group."""
        async with self._changed:
            self._members[rank] = member
            self._alive_at = None
            self._changed.notify_all()

    async def next_job(self, member: Member) -> Job | None:
        """Wait for a cell and return it; None when the slot is closed. Rank 0 of a worker group calls it.

        Also None once another group has joined: whoever waits here is dead or forgotten, and must not take its cell.
        """
        async with self._changed:
            while not self._closed and self._members.get(0) == member:
                if self._job is not None and (failures := self._failures()) >= self._max_failures:
                    reason = f"{self._last_error} ({counted(failures, 'attempt')})"
                    self._finish(Message("failed", {"reason": reason}))
                if self._job is not None:
                    if self._job.attempt in self._accepted:
                        self._outbox.put_nowait(Message("replaced", {"reason": self._death_of(self._job)}))
                    self._job = Job(self._job.number, self._job.attempt + 1, self._job.cell)
                    self._alive_at = None
                    return self._job
                await self._changed.wait()
        return None

    async def accept(self, job: Job) -> None:
        """Count this attempt from now on: all ranks of the group have the cell, none died while they waited for it."""
        if job == self._job:
            self._accepted.add(job.attempt)

    async def post(self, job: Job, message: Message) -> bool:
        """Take a message about `job`; drop it and return False if that is not the cell in flight any more."""
        if not await self.alive(job):
            return False
        if message.kind in ("done", "failed"):
            self._finish(message)
        else:
            self._outbox.put_nowait(message)
        return True

    async def alive(self, job: Job) -> bool:
        """Take a sign of life of the group that trains `job`; return False if nobody waits for that any more."""
        if self._closed or job != self._job:
            return False
        self._alive_at = time.monotonic()
        return True

    async def silent_s(self) -> float | None:
        """Return for how long the group that trains has given no sign of life; None while none trains."""
        return None if self._job is None or self._alive_at is None else time.monotonic() - self._alive_at

    async def give_up(self, reason: str) -> list[Member]:
        """Remember `reason` for the attempt under way and return the processes to be ended, by rank."""
        if self._job is not None:
            await self.note_error(self._job, reason)
        self._alive_at = None
        return [member for _, member in sorted(self._members.items())]

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

    async def receive(self, timeout_s: float) -> Message | None:
        """Return the next message of the workers, or None after `timeout_s`."""
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
        return f"{reason.splitlines()[0]}: failure {self._failures()} of {self._max_failures}"

    def _finish(self, message: Message) -> None:
        self._job = None
        self._outbox.put_nowait(message)
