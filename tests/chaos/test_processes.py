"""Processes of a sweep are killed, stopped and told to end."""

from __future__ import annotations

import signal
import time
from random import Random

import pytest
from mlflow import MlflowClient
from processes import is_alive, send
from report import Report
from strikes import MOMENT_S, MOMENTS, strike
from sweep_results import cell_runs
from sweeps import NAME, SAVES_OFTEN, TWO_CELLS, MakeSweep, Sweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
# A cell is not to be given up, however often it is hit.
PATIENT = "resources.max_failures=1000"
# Longer than anything takes here that is alive.
STALL = "resources.stall_timeout_s=15"
# After Ctrl-C, in seconds.
EXIT_WITHIN_S = 20.0


# For those that are stopped while they start: longer than workers take here.
LATE = "resources.start_timeout_s=90"


def hit_with(faults: list[str], sweep: Sweep, random: Random, report: Report) -> None:
    """Start the sweep and hit it with each of the faults, spread over its epochs."""
    sweep.start()
    total = sweep.epochs * len(sweep.keys)
    for number, fault in enumerate(faults):
        sweep.until_epoch(2 + number * (total - 4) // len(faults))
        strike(fault, sweep, random, report)


WORKERS = ["SIGKILL of a worker", "SIGKILL of all workers of a slot"]
ACTORS = ["SIGKILL of the trial's actor", "SIGKILL of the mailbox", "SIGKILL of Ray Train's controller"]
HELPERS = ["SIGKILL of Ray Train's controller and its cleaner"]
SIGTERM = "SIGTERM of a worker"
WARNED = [SIGTERM, "SIGSTOP of a worker"]


@pytest.mark.parametrize(
    "faults",
    [WORKERS * 3, ACTORS * 2, HELPERS, WARNED * 2],
    ids=["killed", "actors", "helpers", "warned-or-hung"],
)
def test_what_dies_beside_the_driver(
    faults: list[str], make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    sweep = make_sweep(TWO_CELLS, PATIENT, SAVES_OFTEN, *([STALL] if faults[0] in WARNED else []))
    hit_with(random.sample(faults, len(faults)), sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    assert "new workers: " in sweep.output
    undisturbed.assert_same(sweep, report, faults)


STOPPED = ["SIGSTOP of a worker", "SIGSTOP of the trial's actor", "SIGSTOP of the mailbox"]
STOPPED_CONTROLLER = "SIGSTOP of Ray Train's controller"


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_stopped_holds_nobody_up(
    moment: str, make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    """Whoever waits for it has a clock; the one that was stopped is gone at the end."""
    faults = [*random.sample(STOPPED, len(STOPPED)), STOPPED_CONTROLLER]
    sweep = make_sweep((), PATIENT, SAVES_OFTEN, STALL, LATE)
    sweep.start()
    for number, fault in enumerate(faults):
        sweep.until_epoch(2 + number * sweep.epochs)
        strike(fault, sweep, random, report, moment=moment)
    assert sweep.wait() == 0, sweep.output
    assert "gave no" in sweep.output or "no sign of life" in sweep.output
    undisturbed.assert_same(sweep, report, faults)


def test_a_warned_worker_stops_in_the_middle_of_an_epoch(
    make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    """Several tries: a moment may lie in the validation, after the last step of an epoch."""
    sweep = make_sweep(TWO_CELLS, PATIENT)
    sweep.start()
    steps = []
    for epoch in (3, 15, 27):
        sweep.until_epoch(epoch)
        steps.append(step_after_warning(sweep, random, report))
    assert any(steps), "no checkpoint has a part of an epoch"
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [SIGTERM])


def step_after_warning(sweep: Sweep, random: Random, report: Report) -> int:
    """Warn a worker, and return how many steps of an epoch were done in the checkpoint that its group left."""
    time.sleep(random.uniform(0, MOMENT_S))
    before, since = sweep.workers(), time.time()
    send([random.choice(before)], signal.SIGTERM)
    report.injected(SIGTERM)
    sweep.until(lambda: not any(map(is_alive, before)), "end of the workers")
    step = int(sweep.points()[0].stem.partition("-")[2])
    seconds = sweep.seconds_to_resume(since, before)
    assert seconds is not None, sweep.output
    report.resumed(SIGTERM, seconds)
    return step


DRIVER = ["SIGKILL of the driver", "SIGKILL of the local cluster", "SIGKILL of the driver"]
ASKED = ["Ctrl-C", "SIGTERM of the driver"]


@pytest.mark.parametrize("faults", [DRIVER, ASKED], ids=["killed", "asked"])
def test_the_same_command_goes_on(
    faults: list[str], make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    sweep = make_sweep(TWO_CELLS, PATIENT, SAVES_OFTEN)
    hit_with(faults, sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, faults)


def test_ctrl_c_closes_the_runs_and_twice_ends_at_once(
    make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report
) -> None:
    sweep = make_sweep(TWO_CELLS)
    sweep.start()
    sweep.until_epoch(5)
    since = time.monotonic()
    sweep.interrupt()
    assert sweep.driver.wait(2 * EXIT_WITHIN_S) == 130, sweep.output
    seconds = time.monotonic() - since
    report.notes.append(f"Ctrl-C: exit 130 after {seconds:.1f} s")
    assert seconds < EXIT_WITHIN_S
    assert sweep.wait() == 130, sweep.output
    assert "Traceback" not in sweep.output
    assert "interrupted: 0 of 2 cells done; the same command goes on" in sweep.output
    assert statuses(sweep) == ["KILLED"]
    assert list(sweep.storage.rglob("*.tmp")) + list(sweep.storage.glob("ray-*")) == []
    sweep.start()
    sweep.until_epoch(15)
    sweep.interrupt()
    time.sleep(0.3)
    sweep.interrupt()
    assert sweep.wait() == 130, sweep.output
    assert "Traceback" not in sweep.output
    for _ in range(2):
        report.injected("Ctrl-C")
    sweep.start()
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, ["Ctrl-C"])


def statuses(sweep: Sweep) -> list[str]:
    return [run.info.status for run in cell_runs(MlflowClient(sweep.uri), NAME)]
