"""What an interrupted sweep waits for: its cells to be saved, before Tune ends slots, which it gives ten seconds."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray

from orchestrator.amounts import counted
from orchestrator.waiting import watched

# A step or a compilation that is under way, and a large checkpoint on a slow disk or uplink. With what the driver does
# after it, it is less than what SLURM leaves (deploy/slurm.sbatch: 300 s) and Ray (RAY_JOB_STOP_WAIT_TIME_S: 900 s).
SAVED_WITHIN_S = 240.0
# How often it is looked whether the user insists.
LOOK_EVERY_S = 1.0

AtWork = Sequence[tuple[Any, str]]
"""Handles of slots, each with the label of its cell."""

logger = logging.getLogger(__name__)


def save(slots: AtWork, say: Callable[[str], None]) -> list[str]:
    """Have slots save what they train, and wait for it; return the labels of the cells that could not be saved.

    Args:
        slots: Those that have a cell.
        say: Shows a line.
    """
    limit = counted(SAVED_WITHIN_S / 60, "minute")
    # Of a job, and where a scheduler has sent the signal, nobody has the keys at hand.
    insist = "; Ctrl-C again ends at once" if sys.stdin is not None and sys.stdin.isatty() else ""
    say(f"interrupted: the running cells are saved, which may take {limit} at most{insist}")
    waiting = {slot.leave.remote(): label for slot, label in slots}
    unsaved: list[str] = []
    until = time.monotonic() + SAVED_WITHIN_S
    with watched(lambda: f"waiting for {counted(len(waiting), 'cell')} to be saved"):
        while waiting and time.monotonic() < until:
            for answer in ray.wait(list(waiting), timeout=LOOK_EVERY_S)[0]:
                label = waiting.pop(answer)
                if not _is_saved(answer):
                    unsaved.append(label)
                    say(f"not saved: {label}: its workers could not write what they have trained last, or are gone")
    for label in waiting.values():
        say(f"not saved: {label}: what it has trained last is not written after {limit}, and is given up")
    return [*unsaved, *waiting.values()]


def last_words(done: str, unsaved: Sequence[str]) -> str:
    """Return what is said last of a sweep that was interrupted; `orchestrator.jobs.following` knows what it means.

    Args:
        done: How much is.
        unsaved: The labels of cells that could not be saved.
    """
    if not unsaved:
        return f"interrupted: {done}; the same command goes on"
    not_saved = counted(len(unsaved), "cell")
    return f"interrupted: {done}, {not_saved} not saved; the same command goes on from the last checkpoints"


def _is_saved(answer: Any) -> bool:
    try:
        return bool(ray.get(answer))
    except ray.exceptions.RayError:
        logger.info("a slot did not say whether all is saved", exc_info=True)
        return False
