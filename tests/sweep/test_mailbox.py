"""The mailbox between a slot and its workers, without a cluster."""

from __future__ import annotations

import asyncio

from mailboxes import CELL, EPOCH, RESULT, again, handed_out, joined, received, run

from orchestrator.experiment import Resources
from orchestrator.records import EpochResult, Event, Failed, Remark, Replaced, Waiting
from orchestrator.sweep.mailbox import EXCUSED, NO_MESSAGE, Job, Mailbox, Member


def test_events_come_back_in_order() -> None:
    events: list[Event] = [Waiting("no space"), EPOCH, RESULT]

    async def steps() -> list[Event | None]:
        mailbox = Mailbox(Resources(max_failures=3))
        await mailbox.submit(CELL)
        job = await handed_out(mailbox)
        assert job.cell == CELL
        for event in events:
            assert await mailbox.post(job, event)
        return [await mailbox.receive(1) for _ in range(3)]

    assert run(steps()) == events


def test_a_worker_that_waits_gets_the_next_cell() -> None:
    async def steps() -> Job | None:
        mailbox = Mailbox(Resources(max_failures=3))
        waiting = asyncio.create_task(mailbox.next_job(await joined(mailbox)))
        await asyncio.sleep(0.01)
        await mailbox.submit(CELL)
        return await waiting

    job = run(steps())
    assert job is not None
    assert job.cell == CELL


def test_a_dead_group_that_waited_takes_nothing() -> None:
    """Its call is still pending in the actor when the next group joins."""

    async def steps() -> tuple[Job | None, Job | None]:
        mailbox = Mailbox(Resources(max_failures=1))
        dead = asyncio.create_task(mailbox.next_job(await joined(mailbox, pid=1)))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(mailbox.next_job(await joined(mailbox, pid=2)))
        nothing = await dead
        await mailbox.submit(CELL)
        return nothing, await waiting

    nothing, job = run(steps())
    assert nothing is None
    assert job is not None
    assert job.attempt == 1


def test_a_group_that_outlives_its_successors_start_takes_nothing() -> None:
    """Its node was given up for dead; told to stop, it asks for the next cell."""

    async def steps() -> None:
        mailbox = Mailbox(Resources(max_failures=3))
        await mailbox.submit(CELL)
        forgotten = Member("node", 1)
        old = await handed_out(mailbox, pid=1)
        new = await handed_out(mailbox, pid=2)
        assert not await mailbox.beat(old)
        assert await mailbox.next_job(forgotten) is None
        assert await mailbox.beat(new)

    run(steps())


def test_a_group_that_died_while_it_waited_is_not_counted() -> None:
    """It is handed the cell before anybody has noticed; only the groups that accepted it have failed."""

    async def steps() -> str:
        mailbox = Mailbox(Resources(max_failures=1))
        dead = asyncio.create_task(mailbox.next_job(await joined(mailbox, pid=1)))
        await asyncio.sleep(0.01)
        await mailbox.submit(CELL)
        lost = await dead
        assert lost is not None
        job = await handed_out(mailbox, pid=2)
        assert job.cell == CELL
        await mailbox.accept(lost)
        asking = asyncio.create_task(mailbox.next_job(await joined(mailbox, pid=3)))
        failed = await received(mailbox, Failed)
        asking.cancel()
        assert failed.is_lost, "a race waits for it"
        return failed.reason

    assert "(1 attempt)" in run(steps())


def test_a_restarted_group_gets_the_same_cell_and_the_dead_one_no_acknowledgement() -> None:
    async def steps() -> None:
        mailbox = Mailbox(Resources(max_failures=3))
        await mailbox.submit(CELL)
        first = await handed_out(mailbox, pid=1)
        second = await handed_out(mailbox, pid=2)
        assert (first.number, second.number) == (1, 1)
        assert second.cell == CELL
        assert not await mailbox.post(first, EPOCH)
        assert await mailbox.post(second, EPOCH)
        assert await received(mailbox, EpochResult) == EPOCH
        assert await mailbox.receive(0.01) is None

    run(steps())


def test_who_takes_a_cell_over_is_said_with_the_reason() -> None:
    async def steps() -> list[str]:
        mailbox = Mailbox(Resources(max_failures=5))
        await mailbox.submit(CELL)
        noted = await handed_out(mailbox, pid=1)
        await mailbox.note_error(noted, "RuntimeError on rank 1: no\nTraceback ...")
        await handed_out(mailbox, pid=2)
        excused = await handed_out(mailbox, pid=3)
        await mailbox.excuse(excused)
        # It dies before all of its ranks have the cell: nothing to tell.
        await mailbox.next_job(await joined(mailbox, pid=4))
        await handed_out(mailbox, pid=5)
        reasons = [(await received(mailbox, Replaced)).reason for _ in range(3)]
        assert await mailbox.receive(0.01) is None
        return reasons

    assert run(steps()) == [
        "RuntimeError on rank 1: no: failure 1 of 5",
        f"{NO_MESSAGE}: failure 2 of 5",
        EXCUSED,
    ]


def test_a_cell_that_kills_its_workers_fails_with_the_last_reason() -> None:
    async def steps() -> str:
        mailbox = Mailbox(Resources(max_failures=2))
        await mailbox.submit(CELL)
        for _ in range(2):
            job = await handed_out(mailbox)
            await mailbox.note_error(job, "out of memory")
        waiting = asyncio.create_task(mailbox.next_job(await joined(mailbox)))
        failed = await received(mailbox, Failed)
        # The group is free for the next cell.
        await mailbox.submit({"seed": 1})
        following = await waiting
        assert following is not None
        assert following.cell == {"seed": 1}
        assert following.attempt == 1
        return failed.reason

    assert run(steps()) == "out of memory (2 attempts)"


def test_a_new_cell_replaces_the_one_in_flight() -> None:
    async def steps() -> None:
        mailbox = Mailbox(Resources(max_failures=3))
        await mailbox.submit(CELL)
        stale = await handed_out(mailbox)
        await mailbox.submit({"seed": 1})
        assert not await mailbox.post(stale, RESULT)
        job = await handed_out(mailbox)
        assert job.cell == {"seed": 1}

    run(steps())


def test_close_ends_the_wait_and_takes_nothing_more() -> None:
    async def steps() -> None:
        mailbox = Mailbox(Resources(max_failures=3))
        await mailbox.submit(CELL)
        job = await handed_out(mailbox)
        await mailbox.post(job, RESULT)
        waiting = asyncio.create_task(mailbox.next_job(await joined(mailbox)))
        await asyncio.sleep(0.01)
        await mailbox.close()
        assert await waiting is None
        assert not await mailbox.post(job, EPOCH)

    run(steps())


def test_receive_gives_up_after_its_timeout() -> None:
    assert run(Mailbox(Resources(max_failures=1)).receive(0.01)) is None


def test_the_first_rank_to_fail_gives_the_reason_and_none_is_kept_for_the_next_cell() -> None:
    async def steps() -> list[str]:
        mailbox = Mailbox(Resources(max_failures=1))
        reasons = []
        for notes in (["out of memory on rank 1", "connection closed on rank 0"], []):
            await mailbox.submit(CELL)
            job = await handed_out(mailbox)
            for note in notes:
                await mailbox.note_error(job, note)
            waiting = asyncio.create_task(mailbox.next_job(await joined(mailbox)))
            failed = await received(mailbox, Failed)
            waiting.cancel()
            reasons.append(failed.reason)
        return reasons

    first, second = run(steps())
    assert first == "out of memory on rank 1 (1 attempt)"
    assert second.startswith("the workers died without a message")


def test_what_a_worker_says_is_passed_on_and_is_no_sign_of_life() -> None:
    """Who hangs says what it waits for, too."""

    async def steps() -> None:
        mailbox = Mailbox(Resources(max_failures=3))
        await mailbox.submit(CELL)
        job = await handed_out(mailbox)
        await mailbox.remark("waiting for the other workers to load the images (0:00:08 so far)")
        assert await mailbox.receive(1) == Remark("waiting for the other workers to load the images (0:00:08 so far)")
        assert await mailbox.post(job, RESULT)
        assert await mailbox.receive(1) == RESULT

    run(steps())


def test_what_is_said_twice_is_taken_once() -> None:
    """The answer to the first call got lost."""

    async def steps() -> list[Event | None]:
        mailbox = Mailbox(Resources())
        await mailbox.submit(CELL)
        member = await joined(mailbox)
        first = await mailbox.next_job(member)
        job = await again(mailbox, member)
        assert first is not None
        assert job.attempt == first.attempt + 1
        for _ in range(2):
            assert await mailbox.post(job, EPOCH, 1)
            await mailbox.accept(job)
        assert await mailbox.post(job, EPOCH, 2)
        for _ in range(2):
            assert await mailbox.post(job, RESULT, 3)
        await mailbox.submit(CELL)
        assert await mailbox.post(await handed_out(mailbox), EPOCH, 1)
        return [await mailbox.receive(0.1) for _ in range(2)]

    assert run(steps()) == [EPOCH, None]
