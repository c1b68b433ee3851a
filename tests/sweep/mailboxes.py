"""What the tests of a mailbox do with one: its workers and its slot, without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from orchestrator.records import CellResult, EpochResult
from orchestrator.sweep.mailbox import Job, Mailbox, Member

T = TypeVar("T")
CELL = {"seed": 0}
EPOCH, RESULT = EpochResult(1, {}, timestamp_ms=1), CellResult({}, timestamp_ms=2)


def run(steps: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(steps, 10))


async def joined(mailbox: Mailbox, pid: int = 1) -> Member:
    """Return rank 0 of a group that is new to `mailbox`."""
    member = Member("node", pid)
    await mailbox.join(0, member)
    return member


async def handed_out(mailbox: Mailbox, pid: int = 1) -> Job:
    """Return the cell that a new group gets and accepts."""
    job = await mailbox.next_job(await joined(mailbox, pid))
    assert job is not None
    await mailbox.accept(job)
    return job


async def received(mailbox: Mailbox, kind: type[T]) -> T:
    """Return the next event of a kind; those before it are dropped."""
    while not isinstance(event := await mailbox.receive(1), kind):
        assert event is not None, f"no event: {kind}"
    return event


async def again(mailbox: Mailbox, member: Member) -> Job:
    """Return the cell that a group gets and accepts that has joined."""
    job = await mailbox.next_job(member)
    assert job is not None
    await mailbox.accept(job)
    return job
