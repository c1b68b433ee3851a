"""Which ticket has which leg: given at once or, where legs are packed, when it is known where a slot's workers are.

A slot that has no workers yet starts them first then, and says where they are; one that has them is given its next leg
as it takes its next ticket.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ray.tune.experiment import Trial

from orchestrator.racing import CellLeg, Choose, Course
from orchestrator.sweep.dispatcher import GetReady, Task
from orchestrator.sweep.packing import Packing
from orchestrator.sweep.starting import Starting


class Giving:
    """Gives legs to the tickets that wait for one, in the order in which they came.

    Args:
        course: Has the legs.
        dispatcher: Handle of the actor that hands them to the slots.
        starting: Is told of slots that start their workers before they have a leg.
        packing: Says which leg a slot is given; None gives each the first.
    """

    def __init__(self, course: Course, dispatcher: Any, starting: Starting, packing: Packing | None = None) -> None:
        self._course, self._dispatcher, self._starting, self._packing = course, dispatcher, starting, packing
        # By ticket; those that wait for a leg have none.
        self._legs: dict[str, CellLeg | None] = {}
        # By ticket, where legs are packed.
        self._slots: dict[str, str] = {}
        self._getting_ready: set[str] = set()

    def begin(self, trial: Trial) -> None:
        """Take a ticket, or another slot for it; it keeps the leg that it has."""
        self._legs.setdefault(trial.trial_id, None)
        self._getting_ready.discard(trial.trial_id)
        if self._packing is not None:
            # By its id: whoever held the actor itself would keep it alive.
            self._slots[trial.trial_id] = trial.temporary_state.ray_actor._actor_id.hex()

    def leg_of(self, ticket: str) -> CellLeg | None:
        """Return the leg of a ticket; None if it has none, or is not known any more."""
        return self._legs.get(ticket)

    def hear(self, ticket: str, result: dict[str, Any]) -> None:
        """Take what a step of the slot returned: where its workers are, and whether it still waits."""
        if ticket not in self._legs:
            return
        leg = self._legs[ticket]
        if self._packing is not None and result["nodes"]:
            # Those of a group that was made anew may be elsewhere.
            self._packing.locate(self._slots[ticket], result["nodes"])
            if leg is not None:
                self._packing.hold(self._slots[ticket], leg.cell.dataset)
        # It asked before it was given anything, or that is lost.
        if result["waits"] and leg is not None:
            self._give(ticket, leg)
        elif result["waits"]:
            self._getting_ready.discard(ticket)

    def give_out(self) -> Iterator[CellLeg]:
        """Give what can be given now, and yield it."""
        waiting = [ticket for ticket, leg in self._legs.items() if leg is None]
        ready = [ticket for ticket in waiting if self._is_ready(ticket)]
        for ticket in ready[: self._course.num_waiting]:
            leg = self._course.next(self._choice(ticket))
            assert leg is not None
            self._give(ticket, leg)
            yield leg
        # No more than there are legs: the others would hold what they have no use for.
        for ticket in [ticket for ticket in waiting if ticket not in ready][: self._course.num_waiting]:
            if ticket not in self._getting_ready:
                self._getting_ready.add(ticket)
                self._starting.begin_anew(ticket)
                self._dispatcher.give.remote(ticket, GetReady())

    def forget(self, ticket: str) -> None:
        """Forget a ticket that was used."""
        self._starting.forget(ticket)
        self._slots.pop(ticket, None)
        self._getting_ready.discard(ticket)
        if self._legs.pop(ticket, None) is not None:
            self._dispatcher.forget.remote(ticket)

    def _is_ready(self, ticket: str) -> bool:
        return self._packing is None or self._packing.knows(self._slots[ticket])

    def _choice(self, ticket: str) -> Choose | None:
        if self._packing is None:
            return None
        at_work = [cell.dataset for cell in self._course.at_work]
        return partial(self._packing.choose, self._slots[ticket], at_work=at_work)

    def _give(self, ticket: str, leg: CellLeg) -> None:
        self._starting.forget(ticket)
        self._legs[ticket] = leg
        self._dispatcher.give.remote(ticket, Task(leg.cell.model_dump(mode="json"), leg.until))
