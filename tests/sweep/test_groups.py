"""Groups of workers that do not start, take no cell, or are taken along by their node, as the mailbox sees them."""

from __future__ import annotations

import asyncio

from mailboxes import CELL, EPOCH, again, handed_out, joined, received, run

from orchestrator.experiment import Resources
from orchestrator.records import Event, Failed, Remark, Replaced
from orchestrator.sweep.attempts import Attempts
from orchestrator.sweep.mailbox import MAX_STARTS_IN_VAIN, Job, Mailbox, Member, Silence

QUICK = Resources(workers=2, max_failures=5, start_timeout_s=5, stall_timeout_s=5)


async def whole(mailbox: Mailbox, pid: int = 1) -> Member:
    """Return rank 0 of a group of two that has joined."""
    await mailbox.join(1, Member("other node", pid))
    return await joined(mailbox, pid)


def later(mailbox: Mailbox, seconds: float) -> None:
    """Let the mailbox's clock go on."""
    before = mailbox._watch._clock
    mailbox._watch._clock = lambda: before() + seconds


def test_a_group_that_does_not_start_is_not_replaced_by_ray_train() -> None:
    async def steps() -> Silence | None:
        mailbox = Mailbox(QUICK)
        await mailbox.submit(CELL)
        await mailbox.starting("controller")
        assert await mailbox.started_by() == "controller"
        await mailbox.join(1, Member("node", 2))
        assert await mailbox.silence() is None
        later(mailbox, 6)
        return await mailbox.silence()

    silence = run(steps())
    assert silence is not None
    assert silence.members == ()
    assert "6 s while starting; rank 0 gave none at all (resources.start_timeout_s = 5)" in silence.reason


def test_a_start_that_fails_again_and_again_is_one_start() -> None:
    async def steps() -> bool:
        mailbox = Mailbox(QUICK)
        for _ in range(4):
            await mailbox.starting("controller")
            await mailbox.ending()
            later(mailbox, 2)
        return await mailbox.silence() is not None

    assert run(steps())


def test_a_group_that_takes_no_cell_is_replaced_and_the_cell_is_not_to_blame() -> None:
    """Its rank 1 was stopped between two cells: the others wait for it before they accept the cell."""

    async def steps() -> tuple[Silence | None, str, bool]:
        mailbox = Mailbox(QUICK)
        member = await whole(mailbox)
        assert await mailbox.started_by() is None
        later(mailbox, 60)
        assert await mailbox.silence() is None, "nobody waits for it"
        await mailbox.submit(CELL)
        assert await mailbox.next_job(member) is not None
        later(mailbox, 6)
        silence = await mailbox.silence()
        reason = (await received(mailbox, Replaced)).reason
        assert await mailbox.silence() is None, "it is being ended"
        later(mailbox, 6)
        stuck = await mailbox.silence()
        return silence, reason, stuck is not None and stuck.members == ()

    silence, reason, is_stuck = run(steps())
    assert silence is not None
    assert [member.node_id for member in silence.members] == ["node", "other node"]
    assert "while taking a cell; rank 1 gave none at all" in reason
    assert reason.endswith("the cell is not to blame")
    assert is_stuck


def test_a_rank_that_loads_speaks_for_those_that_wait_for_it() -> None:
    async def steps() -> list[Silence | None]:
        mailbox = Mailbox(QUICK)
        member = await whole(mailbox)
        await mailbox.submit(CELL)
        job = await mailbox.next_job(member)
        assert job is not None
        await mailbox.accept(job)
        seen = []
        for _ in range(4):
            later(mailbox, 3)
            await mailbox.beat(job, 1)
            seen.append(await mailbox.silence())
        later(mailbox, 6)
        silence = await mailbox.silence()
        assert silence is not None
        assert "while loading images; rank 0 gave none at all" in silence.reason
        # It was accepted: who takes it over says so, and counts.
        await mailbox.next_job(await whole(mailbox, pid=2))
        assert "failure 1 of 5" in (await received(mailbox, Replaced)).reason
        return seen

    assert run(steps()) == [None] * 4


def test_what_was_said_while_a_slot_had_no_cell_is_received_with_the_next() -> None:
    """Of a race: a slot without a leg receives nothing, and why its workers do not start is said once."""
    said = "the workers do not reach each other (rank 0 at 10.0.0.1 on eth0): Connection refused"

    async def steps() -> list[Event | None]:
        mailbox = Mailbox(Resources())
        await mailbox.submit(CELL)
        job = await handed_out(mailbox)
        await mailbox.starting("controller")
        await mailbox.could_not_start(said)
        await mailbox.post(job, EPOCH)
        await mailbox.submit(CELL)
        await mailbox.could_not_start(said)
        return [await mailbox.receive(0.01) for _ in range(2)]

    assert run(steps()) == [Remark(said), None]


def test_why_workers_do_not_start_is_said_once_and_is_the_reason() -> None:
    said = "the workers do not reach each other (rank 0 at 10.0.0.1 on eth0): Connection refused"

    async def steps() -> tuple[list[Event | None], Silence | None, Silence | None]:
        mailbox = Mailbox(Resources(start_timeout_s=5))
        await mailbox.submit(CELL)
        for text in (said, said.replace("refused", "timed out")):
            await mailbox.starting("controller")
            await mailbox.could_not_start(text)
        events = [await mailbox.receive(0.01) for _ in range(2)]
        mailbox._watch._since -= 6
        first = await mailbox.silence()
        # A group that has started is none of that.
        await joined(mailbox)
        await mailbox.starting("controller")
        mailbox._watch._since -= 6
        return events, first, await mailbox.silence()

    events, first, later = run(steps())
    assert events == [Remark(said), None]
    assert first is not None
    assert first.reason.endswith(said.replace("refused", "timed out"))
    assert later is not None
    assert "reach each other" not in later.reason


def test_an_attempt_that_a_node_took_along_is_no_failure() -> None:
    """Which is known when the next group asks: a group that lost a peer fails before Ray knows of the node."""

    async def steps() -> tuple[list[str], Failed]:
        lost: dict[str, str] = {}
        mailbox = Mailbox(Resources(max_failures=1), lambda nodes: {node: lost[node] for node in nodes if node in lost})
        await mailbox.submit(CELL)
        job = await handed_out(mailbox)
        await mailbox.note_error(job, "ConnectionError on rank 0: closed by peer")
        await mailbox.ending()
        lost["node"] = "node two (10.77.0.2)"
        reasons = []
        for pid in (2, 3):
            await mailbox.join(0, Member("other", pid))
            job = await again(mailbox, Member("other", pid))
            reasons.append((await received(mailbox, Replaced)).reason)
            await mailbox.excuse_last("rank 0 could not be reached: no failure of the cell")
        await mailbox.join(0, Member("other", 4))
        await again(mailbox, Member("other", 4))
        assert await mailbox.next_job(Member("nobody", 5)) is None
        reasons.append((await received(mailbox, Replaced)).reason)
        # One that counts.
        await mailbox.join(0, Member("other", 6))
        waiting = asyncio.create_task(mailbox.next_job(Member("other", 6)))
        failed = await received(mailbox, Failed)
        waiting.cancel()
        return reasons, failed

    reasons, failed = run(steps())
    assert reasons[0] == "node two (10.77.0.2) was lost: no failure of the cell"
    assert set(reasons[1:]) == {"rank 0 could not be reached: no failure of the cell"}
    assert failed.is_lost
    assert "(1 attempt)" in failed.reason


def test_nodes_that_a_cell_takes_along_again_and_again_end_it() -> None:
    """Though each group tells the epochs again that it goes on behind."""

    async def steps() -> Failed:
        mailbox = Mailbox(Resources(max_failures=1, give_up_after_s=60), lambda nodes: dict.fromkeys(nodes, "it"))
        clock = 0.0
        mailbox._attempts = Attempts(mailbox._resources, clock=lambda: clock)
        mailbox._number, mailbox._job = 1, Job(number=1, attempt=0, cell=CELL)
        for pid in range(2):
            job = await handed_out(mailbox, pid)
            await mailbox.post(job, EPOCH)
            clock += 40
            await mailbox.ending()
        member = await joined(mailbox, 9)
        waiting = asyncio.create_task(mailbox.next_job(member))
        failed = await received(mailbox, Failed)
        waiting.cancel()
        return failed

    failed = run(steps())
    assert failed.is_lost
    assert "no epoch was finished in 80 s of 2 attempts (resources.give_up_after_s = 60)" in failed.reason


def test_who_joins_twice_has_joined_once() -> None:
    async def steps() -> str | None:
        mailbox = Mailbox(Resources())
        await mailbox.starting("controller")
        await joined(mailbox)
        await joined(mailbox)
        return await mailbox.started_by()

    assert run(steps()) is None


def test_groups_that_all_end_before_they_have_a_cell_are_the_slots_end() -> None:
    async def steps() -> Silence | None:
        mailbox = Mailbox(Resources())
        await mailbox.submit(CELL)
        for pid in range(MAX_STARTS_IN_VAIN + 1):
            assert await mailbox.silence() is None
            await mailbox.starting("controller")
            await mailbox.next_job(await joined(mailbox, pid))
        return await mailbox.silence()

    assert run(steps()) == Silence("100 groups of workers ended before one had a cell", ())


def test_a_group_without_a_cell_wakes_the_slot_and_it_is_known_where_it_is() -> None:
    async def steps() -> None:
        mailbox = Mailbox(Resources(workers=2))
        await mailbox.remark("node y trains nothing")
        assert await mailbox.receive(1) == Remark("node y trains nothing")
        await mailbox.join(0, Member("x", 1))
        waking = asyncio.create_task(mailbox.receive(60))
        await asyncio.sleep(0)
        assert not waking.done()
        assert await mailbox.nodes() == frozenset(), "it is not whole"
        await mailbox.join(1, Member("y", 2))
        assert await waking is None
        assert await mailbox.nodes() == {"x", "y"}
        await mailbox.submit(CELL)
        assert await mailbox.next_job(Member("x", 1)) is not None
        assert await mailbox.nodes() == {"x", "y"}
        await mailbox.starting("controller")
        assert await mailbox.nodes() == frozenset()

    run(steps())
