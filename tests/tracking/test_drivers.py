"""Which drivers are at work: seen from here, in a real SQLite store, whatever the clocks of others say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from orchestrator.process_names import this_process
from orchestrator.records import now_ms
from orchestrator.tracking import drivers
from orchestrator.tracking.drivers import Drivers
from orchestrator.tracking.names import HEARTBEAT, KIND, OWNER
from orchestrator.tracking.ownership import STALE_S
from orchestrator.tracking.store import Store

ELSEWHERE = "elsewhere:0badcafe:1:0123abcd"
HOUR_MS = 3_600_000


class Other:
    """A driver of another machine, whose clock is off by so much."""

    def __init__(self, client: MlflowClient, owner: str = ELSEWHERE, *, off_ms: int = 0) -> None:
        self._client, self._off_ms = client, off_ms
        run = client.create_run("0", tags={KIND: "sweep", OWNER: owner})
        self.run_id = run.info.run_id
        self.beat()

    def beat(self) -> None:
        self._client.set_tag(self.run_id, HEARTBEAT, str(now_ms() + self._off_ms))


@pytest.fixture
def store(uri: str) -> Store:
    return Store(uri, origin="tracking.uri")


class Clock:
    """Seconds, which pass when somebody waits; `then` is what happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50.0
        self.then: Callable[[], None] = lambda: None
        monkeypatch.setattr("orchestrator.tracking.drivers.time.sleep", self._sleep)

    def __call__(self) -> float:
        return self.now

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("off_ms", [-24 * HOUR_MS, 0, 24 * HOUR_MS])
def test_whose_heartbeat_changes_is_at_work_whatever_its_clock_says(store: Store, clock: Clock, off_ms: int) -> None:
    other = Other(store.client, off_ms=off_ms)
    clock.then = other.beat
    said: list[str] = []
    found = Drivers(store.search, clock=clock)
    assert found.at_work(say=said.append) == {ELSEWHERE}
    assert clock.now < 50 + 20
    (line,) = said
    assert "open runs of 1 driver elsewhere (process 1 on elsewhere): looking for a sign of life" in line
    # What was seen is known.
    assert found.at_work(say=said.append) == {ELSEWHERE}
    assert len(said) == 1


@pytest.mark.parametrize("off_ms", [-24 * HOUR_MS, 0, 24 * HOUR_MS])
def test_whose_heartbeat_stands_still_is_dead_whatever_its_clock_says(store: Store, clock: Clock, off_ms: int) -> None:
    Other(store.client, off_ms=off_ms)
    found = Drivers(store.search, clock=clock)
    assert found.not_known_dead() == {ELSEWHERE}
    assert found.at_work(say=lambda _: None) == set()
    assert STALE_S <= clock.now - 50 <= STALE_S + 2 * drivers.LOOK_EVERY_S
    assert found.not_known_dead() == set()
    assert found.seemingly_at_work() == set()


def test_one_that_was_alive_may_die_and_come_back(store: Store, clock: Clock) -> None:
    other = Other(store.client)
    found = Drivers(store.search, clock=clock)
    clock.then = other.beat
    assert found.at_work(say=lambda _: None) == {ELSEWHERE}
    clock.then = lambda: None
    clock.now += STALE_S
    assert found.at_work(say=lambda _: None) == set()
    other.beat()
    assert found.at_work(say=lambda _: None) == {ELSEWHERE}


def test_only_those_that_matter_are_waited_for(store: Store, clock: Clock) -> None:
    Other(store.client)
    Other(store.client, this_process())
    Other(store.client, this_process().rpartition(":")[0].rpartition(":")[0] + ":4194305:00000001")
    found = Drivers(store.search, clock=clock)
    assert found.at_work(say=pytest.fail, among={this_process()}) == {this_process()}
    assert clock.now == 50
    assert found.not_known_dead() == {this_process(), ELSEWHERE}


def test_what_ended_is_not_at_work(store: Store, clock: Clock) -> None:
    other = Other(store.client)
    store.client.set_terminated(other.run_id, "KILLED")
    given_up = Other(store.client)
    store.client.set_tag(given_up.run_id, OWNER, "")
    assert Drivers(store.search, clock=clock).at_work(say=pytest.fail) == set()


@pytest.mark.parametrize(("off_ms", "shown"), [(0, True), (-HOUR_MS, False)])
def test_to_show_something_at_once_its_clock_is_believed(store: Store, clock: Clock, off_ms: int, shown: bool) -> None:
    other = Other(store.client, off_ms=off_ms)
    found = Drivers(store.search, clock=clock)
    assert (ELSEWHERE in found.seemingly_at_work()) is shown
    other.beat()
    assert found.seemingly_at_work() == {ELSEWHERE}
