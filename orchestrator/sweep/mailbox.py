"""The mailbox between a slot and its workers: hands cells out, takes their events back, and outlives the workers.

It is a plain asyncio class, so that it can be tested without a cluster; `orchestrator.sweep.slot` makes it an actor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.errors import first_line
from orchestrator.experiment import Resources
from orchestrator.records import EpochResult, Event, Failed, LastEvent, Remark, Replaced, Started
from orchestrator.sweep.attempts import Attempts
from orchestrator.sweep.watch import BY_RAY_TRAIN, Phase, Watch


@dataclass(frozen=True)
class Job:
    """One cell handed to a worker group.

    Attributes:
        number: Counts the submitted cells; an event of a job with another number is stale.
        attempt: Counts how often it was handed out: 1 for the first worker group, 2 after that group died, and so on.
        cell: The cell as plain data.
        until: The epoch that it is to be trained to now; None for its last.
    """

    number: int
    attempt: int
    cell: dict[str, Any]
    until: int | None = None


@dataclass(frozen=True)
class Member:
    """A process of a worker group, so that it can be ended if it hangs.

    Attributes:
        node_id: The node that it runs on.
        pid: Its process there.
    """

    node_id: str
    pid: int


@dataclass(frozen=True)
class Silence:
    """A worker group that was silent for too long.

    Attributes:
        reason: What it did, since when, and which limit that passes.
        members: The processes to be ended, by rank; none if there is no group that Ray Train would replace.
    """

    reason: str
    members: tuple[Member, ...]


NO_MESSAGE = "the workers died without a message (killed, or out of memory)"
EXCUSED = "a worker was told to end (SIGTERM, or its node goes): no failure"
# A slot whose groups all end before they have a cell is given up.
MAX_STARTS_IN_VAIN = 100

LostNodes = Callable[[Collection[str]], dict[str, str]]
"""Returns those of some nodes that are lost, with their names, by id; it may take a moment."""


class Mailbox:
    """Holds the cell in flight until its result or its failure is posted; the outbox holds events for the slot.

    A worker group that was restarted is handed the same cell again, until `max_failures` attempts were accepted and
    died; one that a node took along does not count (`orchestrator.sweep.attempts`). The group is the one whose rank 0
    joined last: another may outlive its node's raylet, and is handed nothing. The mailbox lives and dies with the slot
    that owns it: workers whose slot is gone get no acknowledgement, and stop. Who got no answer may ask again: what a
    call has done it does not do twice. Whatever a group does, it is bounded by the watch: only one that has no cell may
    be silent for as long as it likes.

    Args:
        resources: How many workers there are, how long they may be silent, and how many failures of one cell are too
            many; attempts that were excused are not counted.
        lost_nodes: Asked before another group is handed a cell.
    """

    def __init__(self, resources: Resources, lost_nodes: LostNodes = lambda _: {}) -> None:
        self._resources, self._lost_nodes = resources, lost_nodes
        self._watch = Watch(resources)
        self._started_by: str | None = None
        self._obstacle = ""
        self._job: Job | None = None
        self._number = 0
        self._last_error = NO_MESSAGE
        self._noted: Job | None = None
        self._members: dict[int, Member] = {}
        self._attempts = Attempts(resources)
        self._starts_in_vain = 0
        self._posted: set[tuple[int, int, int]] = set()
        # None wakes who waits for an event.
        self._outbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._closed = False
        self._is_saved = False

    async def submit(self, cell: dict[str, Any], until: int | None = None) -> None:
        """Hand out `cell` next, in place of one that is still in flight, to be trained to an epoch, or to the end."""
        async with self._changed:
            self._number += 1
            self._job = Job(number=self._number, attempt=0, cell=cell, until=until)
            self._last_error = NO_MESSAGE
            self._attempts, self._posted = Attempts(self._resources), set()
            self._drop_all_but_remarks()
            if self._watch.phase not in BY_RAY_TRAIN:
                self._watch.enter(Phase.TAKING)
            self._changed.notify_all()

    async def starting(self, controller: str) -> None:
        """Note that this actor of Ray Train starts a group; again and again, if that fails."""
        self._started_by = controller
        self._starts_in_vain += 1
        if self._watch.phase is not Phase.STARTING:
            self._watch.enter(Phase.STARTING)

    async def could_not_start(self, reason: str) -> None:
        """Note why a group could not be started; it is said once, until one has been."""
        if not self._obstacle:
            self._outbox.put_nowait(Remark(reason))
        self._obstacle = reason

    async def ending(self) -> None:
        """Note that Ray Train ends a group; one that was never whole counts as one that still starts."""
        self._attempts.end()
        if self._watch.phase not in BY_RAY_TRAIN:
            self._watch.enter(Phase.ENDING)

    async def nodes(self) -> frozenset[str]:
        """Return the ids of the nodes that the group is on; none while it is not whole."""
        whole = self._watch.phase not in BY_RAY_TRAIN
        return frozenset(member.node_id for member in self._members.values()) if whole else frozenset()

    async def started_by(self) -> str | None:
        """Return which actor of Ray Train starts a group just now; None if none does."""
        return self._started_by if self._watch.phase is Phase.STARTING else None

    async def wait_for_resources(self) -> None:
        """Do not count the time in which a group could not start for want of resources, nor how often it was tried."""
        self._watch.excuse()
        self._starts_in_vain = 0
        await self._excuse_what_was_lost()

    async def join(self, rank: int, member: Member) -> None:
        """Make a process known as this rank of the worker group."""
        if self._members.get(rank) == member:
            self._watch.hear(rank)
            return
        async with self._changed:
            self._members[rank] = member
            if self._watch.phase is not Phase.STARTING:
                self._watch.enter(Phase.STARTING)
            self._watch.hear(rank)
            if not self._watch.unheard:
                self._obstacle = ""
                self._watch.enter(Phase.IDLE if self._job is None else Phase.TAKING)
                if self._job is None:
                    self._outbox.put_nowait(None)
            self._changed.notify_all()

    async def next_job(self, member: Member) -> Job | None:
        """Wait for a cell and return it; None when the slot is closed. Rank 0 of a worker group calls it.

        Also None once another group has joined: whoever waits here is dead or forgotten, and must not take its cell.
        """
        await self._excuse_what_was_lost()
        async with self._changed:
            while not self._closed and self._members.get(0) == member:
                self._attempts.end()
                if self._job is not None and (reason := self._attempts.given_up(self._last_error)) is not None:
                    self._finish(Failed(reason, is_lost=True))
                if self._job is not None:
                    if self._attempts.was_accepted(self._job.attempt):
                        self._outbox.put_nowait(Replaced(self._death_of(self._job)))
                    self._job = replace(self._job, attempt=self._job.attempt + 1)
                    self._watch.hear(0)
                    return self._job
                await self._changed.wait()
        return None

    async def accept(self, job: Job) -> None:
        """Count this attempt from now on: all ranks of the group have the cell, none died while they waited for it."""
        if job == self._job:
            self._attempts.accept(job.attempt, frozenset(member.node_id for member in self._members.values()))
            self._starts_in_vain = 0
            self._watch.enter(Phase.LOADING)

    async def post(self, job: Job, event: Event, number: int | None = None) -> bool:
        """Take an event of `job`; drop it and return False if that is not the cell in flight any more.

        Args:
            job: Of which it is.
            event: What has happened.
            number: Counts the events of rank 0, which alone tells: what has been taken is not taken again.
        """
        if number is not None and (job.number, job.attempt, number) in self._posted:
            return True
        if not await self.beat(job):
            return False
        if number is not None:
            self._posted.add((job.number, job.attempt, number))
        if isinstance(event, LastEvent):
            self._finish(event)
            return True
        if isinstance(event, Started):
            self._watch.enter(Phase.TRAINING)
        if isinstance(event, EpochResult):
            self._attempts.advance(event.epoch)
        self._outbox.put_nowait(event)
        return True

    async def remark(self, text: str) -> None:
        """Take what a worker has to say. No heartbeat: one that hangs says what it waits for, too."""
        self._outbox.put_nowait(Remark(text))

    async def beat(self, job: Job, rank: int = 0) -> bool:
        """Take a heartbeat of a rank that has `job`; return False if nobody waits for that any more."""
        if self._closed or job != self._job:
            return False
        self._watch.hear(rank)
        return True

    async def silence(self) -> Silence | None:
        """Return whose silence has been too long, which is then the reason for the end of the attempt under way."""
        await self._excuse_what_was_lost()
        reason = self._watch.overdue()
        if self._starts_in_vain > MAX_STARTS_IN_VAIN:
            ended = f"{MAX_STARTS_IN_VAIN} groups of workers ended before one had a cell"
            return Silence(f"{ended}: {self._obstacle}" if self._obstacle else ended, ())
        if reason is None:
            return None
        if self._watch.phase in BY_RAY_TRAIN:
            return Silence(f"{reason}: {self._obstacle}" if self._obstacle else reason, ())
        assert self._job is not None
        self._watch.enter(Phase.ENDING)
        if self._attempts.was_accepted(self._job.attempt):
            await self.note_error(self._job, reason)
        else:
            self._outbox.put_nowait(Replaced(f"{reason}: the cell is not to blame"))
        return Silence(reason, tuple(member for _, member in sorted(self._members.items())))

    async def excuse(self, job: Job) -> None:
        """Do not count this attempt: the group loses a process that is taken away, and not over the cell."""
        if job == self._job:
            self._attempts.excuse(job.attempt, EXCUSED)

    async def excuse_last(self, reason: str) -> None:
        """Do not count the attempt under way, for a reason that Ray Train knows of its end."""
        if self._job is not None:
            self._attempts.excuse(self._job.attempt, reason)

    async def note_error(self, job: Job, reason: str) -> None:
        """Remember why the worker group is about to exit; it becomes the cell's reason if no attempt is left.

        The first rank to say so in an attempt is the one that failed: the others lose their peer.
        """
        if job == self._job and job != self._noted:
            self._noted, self._last_error = job, reason

    async def receive(self, timeout_s: float) -> Event | None:
        """Return the next event; None after `timeout_s`, or when a group is whole that has no cell yet."""
        try:
            return await asyncio.wait_for(self._outbox.get(), timeout_s)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Let the workers end their loop: nothing is handed out or accepted any more."""
        async with self._changed:
            self._closed, self._is_saved = True, self._watch.phase is not Phase.TRAINING
            self._changed.notify_all()

    async def lay_down(self, job: Job) -> None:
        """Note that all that the group has trained of `job` is saved, and that it trains it no more."""
        if job == self._job:
            self._is_saved = True

    async def is_saved(self) -> bool | None:
        """Return whether all that was trained when the slot was closed is saved; None while it may still be."""
        return self._is_saved or (None if self._watch.phase is Phase.TRAINING else False)

    async def _excuse_what_was_lost(self) -> None:
        """Ask, while it may still be the reason, whether a node was lost that had workers of an attempt that ended."""
        if suspects := self._attempts.suspects:
            self._attempts.excuse_those_on(await asyncio.to_thread(self._lost_nodes, suspects))

    def _drop_all_but_remarks(self) -> None:
        """Forget what was told of the last cell. A remark may be of the group, and is not said again."""
        events, self._outbox = self._outbox, asyncio.Queue()
        while not events.empty():
            if isinstance(event := events.get_nowait(), Remark):
                self._outbox.put_nowait(event)

    def _death_of(self, job: Job) -> str:
        """Return in a line why the group that had `job` is gone."""
        if (excuse := self._attempts.excuse_of(job.attempt)) is not None:
            return excuse
        reason = self._last_error if job == self._noted else NO_MESSAGE
        return f"{first_line(reason)}: failure {self._attempts.failures} of {self._resources.max_failures}"

    def _finish(self, event: LastEvent) -> None:
        self._job = None
        self._watch.enter(Phase.IDLE)
        self._outbox.put_nowait(event)
