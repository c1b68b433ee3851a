"""Faults: each hits a running sweep once, where a seeded generator says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil
from processes import send
from report import Report
from sweeps import CLEANER, CONTROLLER, GCS, MAILBOX, POLL_S, RAYLET, SLOT, WORKER, Sweep

# As long as an epoch of the cells and more: a fault may come at any of its moments.
MOMENT_S = 0.5
# The workers take the next cell in less.
BETWEEN_S = 0.3
# From the first of them that is there, workers start in about so long.
START_S = 10.0

Moment = Callable[[Sweep, Random], None]
Fault = Callable[[Sweep, Random], None]
Damage = Callable[[Path, Random], None]


def kill_worker(sweep: Sweep, random: Random) -> None:
    """SIGKILL to one training process."""
    _hit([random.choice(_there(sweep, WORKER))], signal.SIGKILL)


def kill_all_workers(sweep: Sweep, _: Random) -> None:
    """SIGKILL to all training processes of a slot."""
    _hit(_there(sweep, WORKER), signal.SIGKILL)


def kill_slot(sweep: Sweep, _: Random) -> None:
    """SIGKILL to the actor of Tune's trial."""
    _hit(_there(sweep, *SLOT), signal.SIGKILL)


def kill_mailbox(sweep: Sweep, _: Random) -> None:
    """SIGKILL to the actor between a slot and its workers."""
    _hit(_there(sweep, MAILBOX), signal.SIGKILL)


def kill_controller(sweep: Sweep, _: Random) -> None:
    """SIGKILL to Ray Train's controller of the workers."""
    _hit(_there(sweep, CONTROLLER), signal.SIGKILL)


def kill_controller_and_cleaner(sweep: Sweep, _: Random) -> None:
    """SIGKILL to Ray Train's controller and to the helper that frees the workers' resources after its death."""
    # It looks once a second whether the controller is there.
    _hit(_there(sweep, CLEANER), signal.SIGKILL)
    _hit(_there(sweep, CONTROLLER), signal.SIGKILL)


def stop_worker(sweep: Sweep, random: Random) -> None:
    """SIGSTOP to one training process: it hangs, and the others wait for it."""
    _hit([random.choice(_there(sweep, WORKER))], signal.SIGSTOP)


def stop_slot(sweep: Sweep, _: Random) -> None:
    """SIGSTOP to the actor of Tune's trial, which the driver waits for."""
    _hit(_there(sweep, *SLOT), signal.SIGSTOP)


def stop_slot_and_workers(sweep: Sweep, _: Random) -> None:
    """SIGSTOP to the actor of Tune's trial, and to its workers, which would train on to the end of their cell."""
    _hit(_there(sweep, WORKER), signal.SIGSTOP)
    _hit(_there(sweep, *SLOT), signal.SIGSTOP)


def stop_mailbox(sweep: Sweep, _: Random) -> None:
    """SIGSTOP to the actor between a slot and its workers, which both wait for."""
    _hit(_there(sweep, MAILBOX), signal.SIGSTOP)


def stop_controller(sweep: Sweep, random: Random) -> None:
    """SIGSTOP to Ray Train's controller, and SIGKILL to a worker, which it is to replace."""
    _hit(_there(sweep, CONTROLLER), signal.SIGSTOP)
    kill_worker(sweep, random)


def preempt_worker(sweep: Sweep, random: Random) -> None:
    """SIGTERM to one training process."""
    _hit([random.choice(_there(sweep, WORKER))], signal.SIGTERM)


def kill_driver(sweep: Sweep, _: Random) -> None:
    """SIGKILL to the driver, and the same command again at once."""
    sweep.driver.kill()
    sweep.driver.wait()
    sweep.start()


def kill_cluster(sweep: Sweep, _: Random) -> None:
    """SIGKILL to the local cluster; the driver cannot go on without it, and is started again."""
    _hit(_there(sweep, RAYLET, GCS), signal.SIGKILL)
    assert sweep.driver.wait(120) != 0, sweep.output
    sweep.start()


def press_ctrl_c(sweep: Sweep, _: Random) -> None:
    """Ctrl-C, and the same command again."""
    sweep.interrupt()
    assert sweep.wait() == 130, sweep.output
    sweep.start()


def terminate_driver(sweep: Sweep, _: Random) -> None:
    """SIGTERM to the driver, and the same command again."""
    sweep.driver.terminate()
    assert sweep.wait() == 130, sweep.output
    sweep.start()


def truncate(path: Path, random: Random) -> None:
    """Cut a file off somewhere."""
    os.truncate(path, random.randrange(path.stat().st_size))


def flip_bit(path: Path, random: Random) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def remove(path: Path, _: Random) -> None:
    """Remove a file."""
    path.unlink()


def damage_newest(damage: Damage) -> Fault:
    """Return the fault: the newest checkpoint is damaged, and the workers need it."""

    def strike(sweep: Sweep, random: Random) -> None:
        workers = _there(sweep, WORKER)
        # What is damaged is the newest until they are gone.
        _hit(workers, signal.SIGSTOP)
        damage(sweep.points()[0], random)
        _hit(workers, signal.SIGKILL)

    return strike


def damage_all(damage: Damage) -> Fault:
    """Return the fault: all checkpoints of the cells that train are damaged, and the workers need them."""

    def strike(sweep: Sweep, random: Random) -> None:
        workers = _there(sweep, WORKER)
        _hit(workers, signal.SIGSTOP)
        for path in sweep.points():
            damage(path, random)
        _hit(workers, signal.SIGKILL)

    return strike


FAULTS: dict[str, Fault] = {
    "SIGKILL of a worker": kill_worker,
    "SIGKILL of all workers of a slot": kill_all_workers,
    "SIGKILL of the trial's actor": kill_slot,
    "SIGKILL of the mailbox": kill_mailbox,
    "SIGKILL of Ray Train's controller": kill_controller,
    "SIGKILL of Ray Train's controller and its cleaner": kill_controller_and_cleaner,
    "SIGSTOP of a worker": stop_worker,
    "SIGSTOP of the trial's actor": stop_slot,
    "SIGSTOP of the trial's actor and its workers": stop_slot_and_workers,
    "SIGSTOP of the mailbox": stop_mailbox,
    "SIGSTOP of Ray Train's controller": stop_controller,
    "SIGTERM of a worker": preempt_worker,
    "SIGKILL of the driver": kill_driver,
    "SIGKILL of the local cluster": kill_cluster,
    "SIGTERM of the driver": terminate_driver,
    "Ctrl-C": press_ctrl_c,
    "newest checkpoint truncated": damage_newest(truncate),
    "newest checkpoint with a flipped bit": damage_newest(flip_bit),
    "newest checkpoint missing": damage_newest(remove),
    "all checkpoints truncated": damage_all(truncate),
    "all checkpoints missing": damage_all(remove),
}


def in_an_epoch(_: Sweep, random: Random) -> None:
    """Wait for some moment of the next epoch, or the one after that."""
    time.sleep(random.uniform(0, MOMENT_S))


def between_two_cells(sweep: Sweep, random: Random) -> None:
    """Wait for a cell to end; for some moment if there is one cell left."""
    finished = sweep.finished_cells()
    if finished < len(sweep.keys) - 1:
        sweep.until(lambda: sweep.finished_cells() > finished, "end of a cell", every_s=POLL_S / 10)
        time.sleep(random.uniform(0, BETWEEN_S))
    else:
        in_an_epoch(sweep, random)


def as_workers_start(sweep: Sweep, random: Random) -> None:
    """End the workers, and wait for some moment in which others start."""
    before = sweep.workers()
    kill_all_workers(sweep, random)
    sweep.until(lambda: not {*sweep.workers()} <= {*before}, "new worker")
    time.sleep(random.uniform(0, START_S))


MOMENTS: dict[str, Moment] = {
    "in an epoch": in_an_epoch,
    "between two cells": between_two_cells,
    "as workers start": as_workers_start,
}


def strike(name: str, sweep: Sweep, random: Random, report: Report, *, moment: str = "in an epoch") -> None:
    """Hit the sweep at some moment from now on, and wait until it has finished another epoch, or has ended."""
    MOMENTS[moment](sweep, random)
    before, since = sweep.workers(), time.time()
    FAULTS[name](sweep, random)
    report.injected(name)
    # Of a run that ended, how long it takes from the same command.
    seconds = sweep.seconds_to_resume(max(since, sweep.started_at), before)
    if seconds is not None:
        report.resumed(name, seconds)


def _there(sweep: Sweep, *titles: str) -> list[psutil.Process]:
    """Return its processes of these titles, once there are some: the fault before may have ended all, and late."""
    sweep.until(lambda: bool(sweep.actors(*titles)), titles[0])
    return sweep.actors(*titles)


def _hit(processes: list[psutil.Process], number: signal.Signals) -> None:
    assert processes, "there is nothing to hit"
    send(processes, number)
