"""A ticket gets its leg whoever comes first, and a slot that waits gets the next one as soon as there is one."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from ray.tune.experiment import Trial
from sweep_samples import ERM, MIXUP, ZETA, make_cells

from orchestrator.experiment import Resources
from orchestrator.racing import CellLeg, Course
from orchestrator.records import CellResult, Failed, Opened, Paused
from orchestrator.sweep.dispatcher import Dispatcher, Task
from orchestrator.sweep.giving import Giving
from orchestrator.sweep.listener import Listener
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.starting import Starting
from orchestrator.tracking.delivery import Delivery

A, B, C = make_cells(ERM, MIXUP, ZETA, seeds=(0,))
TASK = Task({"seed": 0}, until=2)


def test_a_ticket_takes_its_leg_once_before_or_after_it_waits() -> None:
    async def steps() -> None:
        dispatcher = Dispatcher()
        assert await dispatcher.take("a", 0.01) is None
        waiting = asyncio.create_task(dispatcher.take("a", 10))
        await asyncio.sleep(0)
        await dispatcher.give("b", TASK)
        assert not waiting.done()
        await dispatcher.give("a", TASK)
        assert await waiting == TASK
        assert await dispatcher.take("b", 0.01) == TASK
        assert await dispatcher.take("b", 0.01) is None
        await dispatcher.give("b", TASK)
        await dispatcher.forget("b")
        assert await dispatcher.take("b", 0.01) is None

    asyncio.run(asyncio.wait_for(steps(), 30))


class Driver:
    """A listener between tickets and a race of two rungs: A and B to epoch 2, then B alone to its end."""

    def __init__(self) -> None:
        self.delivery, self.dispatcher, self.is_lost = Mock(spec=Delivery), Mock(), False
        rungs = [[[CellLeg(A, 2), CellLeg(B, 2)]], [[CellLeg(B, B.train.epochs)]]]
        self.course = Course({}, lambda runs: rungs[1] if len(runs) == 2 else rungs[0])
        starting = Starting(lambda: self.course.num_left, Resources())
        self.listener = Listener(
            self.course,
            Giving(self.course, self.dispatcher, starting),
            self.delivery,
            Mock(spec=Progress),
            starting,
            resources=Resources(),
            is_lost=lambda: self.is_lost,
        )

    def start(self, ticket: str) -> Mock:
        trial = Mock(spec=Trial)
        trial.trial_id, trial.error_file, trial.num_failures = ticket, None, 1
        trial.get_error.return_value = "it was killed"
        self.listener.on_trial_start(0, [trial], trial)
        return trial

    def hear(self, trial: Mock, event: Any = None, *, waits: bool = False) -> None:
        self.listener.on_trial_result(0, [trial], trial, {"event": event, "starting": False, "waits": waits})

    @property
    def given(self) -> list[tuple[str, int]]:
        """Which tickets got legs, and until when, since it was asked last."""
        calls = [call.args for call in self.dispatcher.give.remote.call_args_list]
        self.dispatcher.give.remote.reset_mock()
        return [(ticket, task.until) for ticket, task in calls]


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_a_slot_waits_at_a_rung_and_gets_the_first_leg_of_the_next(driver: Driver) -> None:
    one, two = driver.start("1"), driver.start("2")
    assert driver.given == [("1", 2), ("2", 2)]
    driver.hear(one, Paused(2, 1))
    driver.listener.on_trial_complete(0, [one], one)
    three = driver.start("3")
    driver.hear(three, waits=True)
    assert driver.given == []
    driver.hear(two, Paused(2, 1))
    assert driver.given == [("3", B.train.epochs)]
    driver.hear(three, CellResult({}, 1))
    assert driver.course.is_over
    assert driver.listener.done == {B.key}
    told = [(call.args[0].key, type(call.args[1])) for call in driver.delivery.tell.call_args_list]
    expected = [(A, Opened), (B, Opened), (A, Paused), (B, Paused), (B, Opened), (B, CellResult)]
    assert told == [(cell.key, kind) for cell, kind in expected]


def test_a_slot_that_still_waits_is_told_again(driver: Driver) -> None:
    """What it was given got lost, with the dispatcher or with the slot that had taken it."""
    one = driver.start("1")
    driver.hear(one, waits=True)
    driver.hear(one)
    assert driver.given == [("1", 2), ("1", 2)]
    driver.listener.on_trial_recover(0, [one], one)
    driver.start("1")
    driver.hear(one, waits=True)
    assert driver.given == [("1", 2)], "another attempt is for the same leg"


def test_a_slot_that_dies_without_a_leg_costs_no_cell_anything(driver: Driver) -> None:
    one, two, three = (driver.start(ticket) for ticket in "123")
    driver.listener.on_trial_recover(0, [three], three)
    driver.listener.on_trial_error(0, [three], three)
    assert driver.listener.failed == set()
    driver.listener.on_trial_error(0, [one], one)
    assert driver.listener.failed == {A.key}
    driver.hear(two, Paused(2, 1))
    assert driver.course.num_left == 1, "the race goes on, with the failed one as the last"
    assert any(isinstance(call.args[1], Failed) for call in driver.delivery.tell.call_args_list)


@pytest.mark.parametrize(
    ("event", "is_lost", "is_told"),
    [
        (Failed("another sweep has taken it over", is_lost=True), True, False),
        (Failed("its data are gone", is_lost=True), False, True),
        (Failed("the loss is NaN"), True, True),
    ],
)
def test_what_fails_since_another_sweep_has_taken_the_storage_over_is_not_told(
    driver: Driver, event: Failed, is_lost: bool, is_told: bool
) -> None:
    """That one works on the cell, and MLflow hears of it from that."""
    driver.is_lost = is_lost
    driver.hear(driver.start("1"), event)
    told = [call.args[1] for call in driver.delivery.tell.call_args_list if not isinstance(call.args[1], Opened)]
    assert told == [event] * is_told
    assert driver.listener.failed == ({A.key} if is_told else set())
