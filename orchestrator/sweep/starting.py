"""What cells that show no sign of life yet wait for: slots, room on the cluster, or processes that start."""

from __future__ import annotations

from collections.abc import Callable

import ray

from orchestrator.amounts import counted, some
from orchestrator.experiment import Resources
from orchestrator.records import Event, LastEvent, Opened
from orchestrator.sweep.placement import held_by_others, num_waiting


class Starting:
    """Follows the events of all cells, and says what is waited for.

    Args:
        num_left: Returns how many cells are still to be run.
        resources: Of each cell.
    """

    def __init__(self, num_left: Callable[[], int], resources: Resources) -> None:
        self._num_left, self._resources = num_left, resources
        # Shared with the thread that asks: whether each cell at work has shown a sign of life.
        self._alive: dict[str, bool] = {}

    def take(self, key: str, event: Event) -> None:
        """Take what happened to a cell."""
        if isinstance(event, LastEvent):
            self._alive.pop(key, None)
        else:
            self._alive[key] = not isinstance(event, Opened)

    def begin_anew(self, key: str) -> None:
        """Have the slot of a cell, or its workers, started again; before it has a cell by any other key."""
        self._alive[key] = False

    def forget(self, key: str) -> None:
        """Have nothing of it waited for any more."""
        self._alive.pop(key, None)

    def going_on(self) -> str | None:
        """Return what is waited for; None while every slot works."""
        at_work = list(self._alive.values())
        if not self._num_left():
            return "waiting for the slots to end"
        if not at_work:
            return "waiting for Ray to start the slots"
        if not (num_silent := at_work.count(False)):
            return None
        if groups := num_waiting([self._of_worker()] * self._resources.workers):
            return f"{len(at_work) - num_silent} of {len(at_work)} slots train, {groups} wait for {self._room()}"
        what = f"{counted(num_silent, 'cell')} of {len(at_work)} at work: waiting for"
        return f"{what} workers, which start and load their libraries"

    def _room(self) -> str:
        """Return in words what a group of workers needs, and how much of it is free, and who holds the rest."""
        wanted, workers = self._of_worker(), self._resources.workers
        free, totals = ray.available_resources(), ray.cluster_resources()
        amounts = ", ".join(f"{free.get(name, 0):g} of {totals.get(name, 0):g} {name}s are free" for name in wanted)
        each = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
        holders = [str(holder) for holder in held_by_others()]
        held = f"; held are {some(holders)}" if holders else ""
        return f"room for {workers} x {each}, or for nodes that join: {amounts}{held}"

    def _of_worker(self) -> dict[str, float]:
        resources = self._resources
        gpus = {"GPU": float(resources.gpus_per_worker)} if resources.gpus_per_worker else {}
        return {"CPU": float(resources.cpus_per_worker), **gpus}
