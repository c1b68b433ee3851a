"""How long a worker group may be silent: a clock that always runs, but for groups that have nothing to do."""

from __future__ import annotations

import pytest

from orchestrator.experiment import Resources
from orchestrator.sweep.watch import Phase, Watch

RESOURCES = Resources(workers=2, start_timeout_s=100, stall_timeout_s=10)


class Clock:
    """Seconds, which pass when they are told to."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    return Watch(RESOURCES, clock=clock)


def wait(clock: Clock, watch: Watch, seconds: float) -> None:
    """Let time pass in which somebody looks again and again."""
    for _ in range(4):
        clock.now += seconds / 4
        watch.overdue()


LIMITS = {
    **dict.fromkeys((Phase.TAKING, Phase.LOADING, Phase.TRAINING), 10.0),
    **dict.fromkeys((Phase.STARTING, Phase.ENDING), 100.0),
}


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.IDLE])
def test_every_phase_has_an_end_also_before_the_first_sign_of_life(clock: Clock, watch: Watch, phase: Phase) -> None:
    watch.enter(phase)
    wait(clock, watch, LIMITS[phase] - 0.1)
    assert watch.overdue() is None
    clock.now += 0.2
    said = watch.overdue()
    assert said is not None
    assert said.startswith(f"no sign of life for {LIMITS[phase]:.0f} s while {phase.value}")
    key = "start_timeout_s" if LIMITS[phase] == 100 else "stall_timeout_s"
    assert f"resources.{key} = {LIMITS[phase]:g}" in said


def test_it_runs_from_the_beginning(clock: Clock, watch: Watch) -> None:
    """Before anybody has joined or said anything."""
    wait(clock, watch, 101)
    assert watch.overdue() == (
        "no sign of life for 101 s while starting; rank 0, 1 gave none at all (resources.start_timeout_s = 100)"
    )


def test_a_group_without_a_cell_may_be_silent(clock: Clock, watch: Watch) -> None:
    watch.enter(Phase.IDLE)
    clock.now += 1e6
    assert watch.overdue() is None


def test_any_sign_of_life_counts_and_who_is_silent_is_named(clock: Clock, watch: Watch) -> None:
    watch.enter(Phase.LOADING)
    for _ in range(3):
        clock.now += 9
        watch.hear(0)
        assert watch.overdue() is None
    clock.now += 11
    assert "while loading images; rank 1 gave none at all (" in (watch.overdue() or "")
    watch.hear(1)
    clock.now += 1
    watch.hear(0)
    clock.now += 11
    assert "while loading images; rank 1 has been silent longest (" in (watch.overdue() or "")


def test_waiting_for_resources_is_not_counted(clock: Clock, watch: Watch) -> None:
    for _ in range(10):
        clock.now += 50
        watch.excuse()
    wait(clock, watch, 60)
    assert watch.overdue() is None
    clock.now += 30
    watch.excuse()
    wait(clock, watch, 41)
    assert "no sign of life for 101 s while starting" in (watch.overdue() or "")


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.TRAINING])
def test_the_time_in_which_everything_stood_still_is_not_counted(clock: Clock, phase: Phase) -> None:
    """Ctrl-Z and fg, a suspended job, a paused machine: who looks stood still, too."""
    watch = Watch(RESOURCES.model_copy(update={"stall_timeout_s": 100.0}), clock=clock)
    watch.enter(phase)
    watch.hear(0)
    clock.now += 7200
    assert watch.overdue() is None
    wait(clock, watch, 60)
    assert watch.overdue() is None
    wait(clock, watch, 20)
    assert watch.overdue() is not None
