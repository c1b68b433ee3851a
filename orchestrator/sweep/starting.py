"""What cells that show no sign of life yet wait for: slots, room on the cluster, or processes that start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.util import placement_group_table

from orchestrator.amounts import counted
from orchestrator.experiment import Resources
from orchestrator.records import Event, LastEvent, Opened


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
        """Have the slot of a cell, or its workers, started again."""
        self._alive[key] = False

    def going_on(self) -> str | None:
        """Return what is waited for; None while every slot works."""
        at_work = list(self._alive.values())
        if not self._num_left():
            return "waiting for the slots to end"
        if not at_work:
            return "waiting for Ray to start the slots"
        if not (num_waiting := at_work.count(False)):
            return None
        what = f"{counted(num_waiting, 'cell')} of {len(at_work)} at work: waiting for"
        if crowded := self._no_room():
            return f"{what} {crowded}"
        return f"{what} workers, which start and load their libraries"

    def _no_room(self) -> str | None:
        """Return what the cluster lacks now for a group of workers that Ray is asked for, if it does."""
        wanted = self._of_worker()
        groups = sum(group == [wanted] * self._resources.workers for group in _unplaced())
        if not groups:
            return None
        free, totals = ray.available_resources(), ray.cluster_resources()
        amounts = ", ".join(f"{free.get(name, 0):g} of {totals.get(name, 0):g} {name}s are free" for name in wanted)
        each = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
        return f"room for {self._resources.workers} x {each}: {amounts}"

    def _of_worker(self) -> dict[str, float]:
        resources = self._resources
        gpus = {"GPU": float(resources.gpus_per_worker)} if resources.gpus_per_worker else {}
        return {"CPU": float(resources.cpus_per_worker), **gpus}


def _unplaced() -> Iterator[list[dict[str, Any]]]:
    """Yield what each worker needs of the groups that Ray has no room for at the moment, whoever asked for them."""
    for group in placement_group_table().values():
        if group["state"] in ("PENDING", "RESCHEDULING"):
            yield [{name: float(value) for name, value in bundle.items()} for bundle in group["bundles"].values()]
