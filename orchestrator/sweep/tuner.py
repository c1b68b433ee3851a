"""Trains what is missing of an experiment on warm slots that Ray Tune keeps: a trial is a ticket for a leg.

Tune is asked to schedule, to retry and to end trials, nothing else: which leg a ticket is for is said when it runs
(`orchestrator.racing.Course`), what the slots report is passed on by a callback, MLflow has the results, and a sweep
goes on from checkpoints of its own, not by ``Tuner.restore``.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial

from orchestrator.credentials import is_secret_name, without_secrets
from orchestrator.environment import ray_address, set_for
from orchestrator.experiment import Cell, Experiment, Resources
from orchestrator.plan import Layout
from orchestrator.plugins import carried
from orchestrator.racing import CellLeg, Course
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
from orchestrator.signals import NOTICES
from orchestrator.storage import Storage
from orchestrator.sweep.dispatcher import Dispatcher, Task
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.placement import on_node
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.proof import Proof
from orchestrator.sweep.settings import SlotSettings
from orchestrator.sweep.slot import Slot
from orchestrator.sweep.slot_watch import SlotWatch
from orchestrator.sweep.starting import Starting
from orchestrator.tracking import Delivery
from orchestrator.waiting import watched

# A slot's own actor reserves memory and no CPU: all CPUs are for its workers, which Ray Train places by itself.
SLOT_MEMORY_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Ending:
    """How a sweep ended.

    Attributes:
        done: The keys of the cells that finished.
        failed: Of those that failed.
        interrupted: Whether something is left to be trained.
    """

    done: frozenset[str]
    failed: frozenset[str]
    interrupted: bool


def run_course(
    course: Course,
    *,
    experiment: Experiment,
    storage: Storage,
    scratch: Path,
    layout: Layout,
    proof: Proof | None,
    slots: int,
    is_open: bool,
    delivery: Delivery,
    progress: Progress,
    interruption: Interruption,
) -> Ending:
    """Train on the connected Ray cluster, and tell `course`, `delivery` and `progress` what happens.

    Args:
        course: Says what.
        experiment: Where its cells come from.
        storage: Where their checkpoints go.
        scratch: A folder in it for Ray's own files.
        layout: The nodes.
        proof: What those that join later are asked; None where none can.
        slots: How many at a time.
        is_open: Whether more legs may follow than there are now: then slots wait for them until it is over.
        delivery: Takes every result.
        progress: Shows it.
        interruption: Ends it early.
    """
    joined = ray_address() is not None
    _prepare_ray(joined=joined)
    settings = SlotSettings(
        data_dir=str(experiment.data_dir),
        storage=storage,
        train_dir=str(scratch),
        resources=experiment.resources,
        cache=experiment.cache.open(),
        preemptible=joined,
        plugins=carried(),
        proof=proof,
        able_nodes=tuple(node.id for node in layout.nodes),
        refused_nodes=layout.refused,
    )
    starting = Starting(lambda: course.num_left, experiment.resources)
    dispatcher = _dispatcher()
    listener = _Listener(course, dispatcher, delivery, progress, starting, resources=experiment.resources)
    stopper = _StopOnRequest(interruption, progress, is_over=lambda: is_open and course.is_over)
    tuner = _tuner(
        experiment.name,
        settings,
        dispatcher,
        num_tickets=-1 if is_open else course.num_left,
        slots=slots,
        listener=listener,
        stopper=stopper,
    )
    try:
        with interruption.heeded(), watched(starting.going_on):
            tuner.fit()
    finally:
        listener.interrupt_the_rest()
    return Ending(frozenset(listener.done), frozenset(listener.failed), interrupted=not course.is_over)


def _prepare_ray(*, joined: bool) -> None:
    set_for("joined_sweep" if joined else "local_sweep")
    set_for("sweep")
    # It looks for Tune's own result files, which are not written here, and complains of each cell.
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    # Tune hands the keys of AWS to its actors in a way that Ray logs, and has no option against it. Slots need none:
    # MLflow's artifacts are uploaded from here.
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in class_cache.ENV_VARS_TO_PROPAGATE if not is_secret_name(name)}


def _dispatcher() -> Any:
    """Return the actor; it goes with this process, and so with its node."""
    here = on_node(ray.get_runtime_context().get_node_id())
    return ray.remote(num_cpus=0, max_restarts=-1, label_selector=here)(Dispatcher).remote()


def _tuner(
    name: str,
    settings: SlotSettings,
    dispatcher: Any,
    *,
    num_tickets: int,
    slots: int,
    listener: _Listener,
    stopper: _StopOnRequest,
) -> tune.Tuner:
    """Return what has so many tickets, -1 without end, given to so many slots, and makes a slot that dies anew."""
    trainable = tune.with_resources(
        tune.with_parameters(Slot, settings=settings, dispatcher=dispatcher),
        tune.PlacementGroupFactory(
            [{"memory": SLOT_MEMORY_BYTES}],
            bundle_label_selector=[on_node(ray.get_runtime_context().get_node_id())],
        ),
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=num_tickets,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=settings.train_dir,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=settings.resources.max_failures - 1),
            callbacks=[listener],
            stop=stopper,
            verbose=0,
        ),
    )


def _trial_name(trial: Trial) -> str:
    return f"ticket_{trial.trial_id}"


def _death_of(trial: Trial) -> tuple[str, str]:
    """Return why a trial's slot died: in a line, and in full."""
    # Where `Trial.get_error` looks, Tune has not put it yet. The text has all failures, one after the other.
    file = trial.error_file
    text = Path(file).read_text() if file and Path(file).exists() else str(trial.get_error() or "unknown")
    in_full = text.rpartition("Failure # ")[2].strip()
    # Both what a slot raised and what Ray says of one that is gone end with the cause.
    last_line = in_full.splitlines()[-1]
    return last_line.removeprefix("RuntimeError: "), in_full


class _StopOnRequest(tune.Stopper):  # type: ignore[misc]
    """Ends all trials when the user asks for it, or when those that are left wait for nothing."""

    def __init__(self, interruption: Interruption, progress: Progress, *, is_over: Callable[[], bool]) -> None:
        self._interruption, self._progress, self._is_over = interruption, progress, is_over
        self._said = False
        self._handlers = {number: signal.getsignal(number) for number in NOTICES}

    def __getstate__(self) -> dict[str, Any]:
        # As for `_Listener`.
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Tune takes SIGUSR1 for itself as it starts, and would end without saving.
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if self._interruption.requested and not self._said:
            self._said = True
            self._progress.say("interrupted: the running cells are saved, a few seconds; Ctrl-C again ends at once")
        return self._interruption.requested or self._is_over()


class _Listener(tune.Callback):  # type: ignore[misc]
    """Gives the tickets their legs, and passes the events of the slots on to MLflow and the terminal.

    Attributes:
        done: The keys of the cells that finished.
        failed: Of those that failed.
    """

    def __init__(
        self,
        course: Course,
        dispatcher: Any,
        delivery: Delivery,
        progress: Progress,
        starting: Starting,
        *,
        resources: Resources,
    ) -> None:
        self._max_failures, self._starting = resources.max_failures, starting
        self._watch = SlotWatch(resources, progress.say)
        self._course, self._dispatcher = course, dispatcher
        self._delivery, self._progress = delivery, progress
        # By ticket; those that wait for a leg have none, in the order in which they came.
        self._legs: dict[str, CellLeg | None] = {}
        self._open: dict[str, Cell] = {}
        self.done: set[str] = set()
        self.failed: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its callbacks to disk for `Tuner.restore`, which is not used here: MLflow is the ledger.
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look after the slots, from the loop that waits for them."""
        self._watch.look(trials)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Give the ticket a leg, unless the trial was started before and this is another attempt."""
        self._watch.hear(trial, stepped=False)
        self._legs.setdefault(trial.trial_id, None)
        self._give_out()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Pass an event of the workers on; a heartbeat has none."""
        self._watch.hear(trial, stepped=True)
        leg = self._legs.get(trial.trial_id)
        if leg is None:
            return
        if result["waits"]:
            # It asked before it was given one, or what it was given is lost.
            self._give(trial.trial_id, leg)
        if result["starting"]:
            self._starting.begin_anew(leg.cell.key)
        event: Event | None = result["event"]
        if event is not None:
            self._take(leg.cell, event)
            self._give_out()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Forget a ticket that was used."""
        if self._legs.pop(trial.trial_id, None) is not None:
            self._dispatcher.forget.remote(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Say that the slot of a cell died and is made anew."""
        reason, _ = _death_of(trial)
        count = f"failure {trial.num_failures} of {self._max_failures}"
        leg = self._legs.get(trial.trial_id)
        if leg is None:
            self._progress.say(f"a slot that waited died: {reason}: {count}")
            return
        self._take(leg.cell, Replaced(f"the slot died: {reason}: {count}"))
        self._starting.begin_anew(leg.cell.key)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Mark the cell of a slot that died too often."""
        last_line, in_full = _death_of(trial)
        # A slot that dies while it is made has started no trial.
        self.on_trial_start(iteration, trials, trial)
        leg = self._legs.pop(trial.trial_id)
        if leg is not None:
            reason = f"the slot died {self._max_failures} times: {last_line}\n{in_full}"
            self._take(leg.cell, Failed(reason, is_lost=True))
            self._give_out()

    def interrupt_the_rest(self) -> None:
        """Mark what was started and neither finished nor failed."""
        for cell in self._open.values():
            self._take(cell, Interrupted())

    def _give_out(self) -> None:
        """Give legs to the tickets that wait for one, as far as there are legs."""
        for ticket in [ticket for ticket, leg in self._legs.items() if leg is None]:
            leg = self._course.next()
            if leg is None:
                return
            self._legs[ticket] = leg
            self._give(ticket, leg)
            self._open[leg.cell.key] = leg.cell
            self._take(leg.cell, Opened(now_ms()))

    def _give(self, ticket: str, leg: CellLeg) -> None:
        self._dispatcher.give.remote(ticket, Task(leg.cell.model_dump(mode="json"), leg.until))

    def _take(self, cell: Cell, event: Event) -> None:
        """Pass an event on: the progress shows all of them, MLflow keeps those that last."""
        if isinstance(event, Failed | Replaced | Waiting):
            event = replace(event, reason=without_secrets(event.reason))
        elif isinstance(event, Remark):
            event = Remark(without_secrets(event.text))
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
