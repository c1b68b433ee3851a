"""What Ray Tune tells of the slots, passed on: to the course, to MLflow and to the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.credentials import without_secrets
from orchestrator.experiment import Cell, Resources
from orchestrator.racing import Course
from orchestrator.records import (
    CellResult,
    Event,
    Failed,
    Interrupted,
    LastEvent,
    Opened,
    Paused,
    Remark,
    Replaced,
    Waiting,
    now_ms,
)
from orchestrator.sweep.giving import Giving
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.saving import AtWork
from orchestrator.sweep.slot_death import death_of
from orchestrator.sweep.slot_watch import SlotWatch
from orchestrator.sweep.starting import Starting
from orchestrator.tracking import Delivery


class Listener(tune.Callback):  # type: ignore[misc]
    """Has the tickets given their legs, and passes the events of the slots on to MLflow and the terminal.

    Args:
        course: Is told what happens to its legs.
        giving: Gives them to the tickets.
        delivery: Takes events for MLflow.
        progress: Shows them.
        starting: Is told who shows no sign of life yet.
        resources: Of each cell.
        is_lost: Asks whether another sweep has taken the storage over.

    Attributes:
        done: The keys of the cells that finished.
        failed: Of those that failed.
    """

    def __init__(
        self,
        course: Course,
        giving: Giving,
        delivery: Delivery,
        progress: Progress,
        starting: Starting,
        *,
        resources: Resources,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_lost = is_lost
        self._max_failures, self._starting = resources.max_failures, starting
        self._watch = SlotWatch(resources, progress.say)
        self._course, self._giving = course, giving
        self._delivery, self._progress = delivery, progress
        self._open: dict[str, Cell] = {}
        self._trials: Sequence[Trial] = ()
        self.done: set[str] = set()
        self.failed: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its callbacks to disk for `Tuner.restore`, which is not used here: MLflow is the ledger.
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look after the slots, from the loop that waits for them."""
        self._trials = trials
        self._watch.look(trials)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Give the ticket a leg, unless the trial was started before and this is another attempt."""
        self._watch.hear(trial, stepped=False)
        self._giving.begin(trial)
        self._give_out()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Pass an event of the workers on; a heartbeat has none."""
        self._watch.hear(trial, stepped=True)
        self._giving.hear(trial.trial_id, result)
        leg, event = self._giving.leg_of(trial.trial_id), result["event"]
        if leg is not None:
            if result["starting"]:
                self._starting.begin_anew(leg.cell.key)
            if event is not None:
                self._take(leg.cell, event)
        elif isinstance(event, Remark):
            self._progress.say(without_secrets(event.text))
        self._give_out()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Forget a ticket that was used."""
        self._giving.forget(trial.trial_id)
        # Tune keeps every trial to the end, with its last result and a statistic of all.
        for name in ("event", "config"):
            trial.last_result.pop(name, None)
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say that the slot of a cell died and is made anew."""
        reason, _ = death_of(trial)
        count = f"failure {trial.num_failures} of {self._max_failures}"
        leg = self._giving.leg_of(trial.trial_id)
        if leg is None:
            self._progress.say(f"a slot that waited died: {reason}: {count}")
            return
        self._take(leg.cell, Replaced(f"the slot died: {reason}: {count}"))
        self._starting.begin_anew(leg.cell.key)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Mark the cell of a slot that died too often."""
        last_line, in_full = death_of(trial)
        leg = self._giving.leg_of(trial.trial_id)
        self._giving.forget(trial.trial_id)
        if leg is None and (leg := self._course.next()) is not None:
            # A slot that dies while it is made has no leg yet, and takes one along: it would be left at the end.
            self._open_cell(leg.cell)
        if leg is not None:
            reason = f"the slot died {self._max_failures} times: {last_line}\n{in_full}"
            self._take(leg.cell, Failed(reason, is_lost=True))
            self._give_out()

    def at_work(self) -> AtWork:
        """Return the slots that have a cell, with its label."""
        slots = ((trial.temporary_state.ray_actor, self._giving.leg_of(trial.trial_id)) for trial in self._trials)
        return [(slot, leg.cell.label) for slot, leg in slots if slot is not None and leg is not None]

    def interrupt_the_rest(self) -> None:
        """Mark what was started and neither finished nor failed."""
        for cell in self._open.values():
            self._take(cell, Interrupted())

    def _give_out(self) -> None:
        """Give legs to the tickets that wait for one, as far as there are legs."""
        for leg in self._giving.give_out():
            self._open_cell(leg.cell)

    def _open_cell(self, cell: Cell) -> None:
        self._open[cell.key] = cell
        self._take(cell, Opened(now_ms()))

    def _take(self, cell: Cell, event: Event) -> None:
        """Pass an event on: the progress shows all of them, MLflow keeps those that last."""
        if isinstance(event, Failed | Replaced | Waiting):
            event = replace(event, reason=without_secrets(event.reason))
        elif isinstance(event, Remark):
            event = Remark(without_secrets(event.text))
        if isinstance(event, Failed) and event.is_lost and self._is_lost():
            # Not the cell has failed, and MLflow is told of it by the sweep that has taken the storage over.
            return
        if isinstance(event, LastEvent):
            self._open.pop(cell.key, None)
            if not isinstance(event, Paused):
                (self.done if isinstance(event, CellResult) else self.failed).add(cell.key)
        if not isinstance(event, Remark | Replaced | Waiting):
            self._delivery.tell(cell, event)
        self._starting.take(cell.key, event)
        self._progress.take(cell, event)
        # Last: with the end of a leg others follow, and what is told of them comes after it.
        self._course.take(cell, event)
