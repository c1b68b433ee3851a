"""What a sweep says while no cell shows a sign of life."""

from __future__ import annotations

import subprocess
import sys

import pytest
from commands import ROOT

from orchestrator.experiment.resources import Resources
from orchestrator.records import CellResult, EpochResult, Failed, Opened, Paused, Remark, Replaced
from orchestrator.sweep import starting
from orchestrator.sweep.starting import Starting

EPOCH, RESULT = EpochResult(1, {}, timestamp_ms=1), CellResult({}, timestamp_ms=2)
SLOTS, LEAVING = "waiting for Ray to start the slots", "waiting for the slots to end"


@pytest.fixture
def left() -> list[str]:
    """The cells that have not ended."""
    return ["a", "b", "c"]


@pytest.fixture
def waits(left: list[str], monkeypatch: pytest.MonkeyPatch) -> Starting:
    """Of three cells, on a cluster that has room for all who ask."""
    monkeypatch.setattr(starting, "num_waiting", lambda _: 0)
    return Starting(lambda: len(left), Resources(workers=2))


def test_until_there_are_workers_it_is_said_what_is_started(waits: Starting) -> None:
    assert waits.going_on() == SLOTS
    waits.take("a", Opened(1))
    assert waits.going_on() == "1 cell of 1 at work: waiting for workers, which start and load their libraries"
    waits.take("a", EPOCH)
    assert waits.going_on() is None
    waits.take("b", Opened(1))
    assert "1 cell of 2 at work" in str(waits.going_on())
    waits.take("b", Remark("decoding digits: 1 of 7 (0:00:08 so far)"))
    assert waits.going_on() is None


def test_who_starts_anew_is_waited_for_anew(waits: Starting) -> None:
    for event in (Opened(1), EPOCH, Replaced("the slot died")):
        waits.take("a", event)
    assert waits.going_on() is None
    waits.begin_anew("a")
    assert "1 cell of 1 at work" in str(waits.going_on())


def test_what_has_ended_is_not_waited_for(waits: Starting, left: list[str]) -> None:
    for key, end in (("a", Paused(1, 1)), ("b", Failed("the loss became nan"))):
        waits.take(key, Opened(1))
        left.remove(key)
        waits.take(key, end)
    assert waits.going_on() == SLOTS
    waits.take("c", Opened(1))
    left.remove("c")
    waits.take("c", RESULT)
    assert waits.going_on() == LEAVING


# On a cluster whose only CPU is free, which is not enough.
CROWDED = """
import time
from orchestrator.environment import prepare_program
prepare_program()
import ray
from ray.util import placement_group, placement_group_table, remove_placement_group
from orchestrator.experiment.resources import Resources
from orchestrator.records import Opened
from orchestrator.sweep.starting import Starting

ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
waits = Starting(lambda: 1, Resources(workers=2))
waits.take("a", Opened(1))
group = placement_group([{"CPU": 1}] * 2)
others = placement_group([{"CPU": 1}] * 3)
while len(placement_group_table()) < 2:
    time.sleep(0.1)
print(waits.going_on())
remove_placement_group(group)
while "wait for room" in (said := waits.going_on()):
    time.sleep(0.1)
print(said)
ray.shutdown()
"""


@pytest.mark.slow
def test_who_gets_no_room_on_the_cluster_is_told_what_is_free(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", CROWDED]
    answer = subprocess.run(
        command, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=240
    )
    assert answer.stdout.splitlines() == [
        "0 of 1 slots train, 1 wait for room for 2 x 1 CPU, or for nodes that join: 1 of 1 CPUs are free",
        "1 cell of 1 at work: waiting for workers, which start and load their libraries",
    ], answer.stderr
