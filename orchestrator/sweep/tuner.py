"""Trains what is missing of an experiment on warm slots that Ray Tune keeps: a trial is a ticket for a leg.

Tune is asked to schedule, to retry and to end trials, nothing else: which leg a ticket is for is said when it runs
(`orchestrator.racing.Course`), what the slots report is passed on by a callback, MLflow has the results, and a sweep
goes on from checkpoints of its own, not by ``Tuner.restore``.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache, tune_controller
from ray.tune.experiment import Trial
from ray.tune.search.basic_variant import BasicVariantGenerator

from orchestrator.amounts import counted
from orchestrator.credentials import is_secret_name
from orchestrator.environment import ray_address, set_for
from orchestrator.experiment import Experiment
from orchestrator.plan import Layout, num_packed
from orchestrator.plugins import carried
from orchestrator.racing import Course
from orchestrator.signals import NOTICES
from orchestrator.storage import Storage
from orchestrator.sweep.dispatcher import Dispatcher
from orchestrator.sweep.giving import Giving
from orchestrator.sweep.interruption import Interruption
from orchestrator.sweep.listener import Listener
from orchestrator.sweep.packing import Packing
from orchestrator.sweep.placement import on_node
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.proof import Proof
from orchestrator.sweep.saving import AtWork, save
from orchestrator.sweep.settings import SlotSettings
from orchestrator.sweep.slot import Slot
from orchestrator.sweep.slot_death import SlotManager
from orchestrator.sweep.starting import Starting
from orchestrator.sweep.width import Width
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
        unsaved: The labels of those that go on from before what they have trained last.
    """

    done: frozenset[str]
    failed: frozenset[str]
    interrupted: bool
    unsaved: Sequence[str] = ()


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
        storage: Where their checkpoints go; if another sweep takes it over, this one ends.
        scratch: A folder in it for Ray's own files.
        layout: The nodes.
        proof: What those that join later are asked; None where none can.
        slots: How many at a time, to begin with.
        is_open: Whether more legs may follow than there are now: then slots wait for them until it is over.
        delivery: Takes every result.
        progress: Shows it.
        interruption: Ends it early.

    Raises:
        UserError: Another sweep has taken the storage over.
    """
    joined = ray_address() is not None
    _prepare_ray(joined=joined)
    settings = SlotSettings(
        data_dir=experiment.data_in,
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
    listener = Listener(
        course,
        Giving(course, dispatcher, starting, Packing() if joined and num_packed(experiment) > 1 else None),
        delivery,
        progress,
        starting,
        resources=experiment.resources,
        is_lost=lambda: storage.is_lost(ask=True),
    )
    stopper = _StopOnRequest(
        interruption,
        listener.at_work,
        progress.say,
        is_over=lambda: storage.is_lost() or (is_open and course.is_over),
    )
    most = _most_slots()
    if slots > most:
        progress.say(f"{slots} slots are asked for, and the memory that Ray has on this node is enough for {most}")
    tickets = BasicVariantGenerator(max_concurrent=min(slots, most))
    tuner = _tuner(
        experiment.name,
        settings,
        dispatcher,
        num_tickets=-1 if is_open else course.num_left,
        tickets=tickets,
        listener=listener,
        stopper=stopper,
    )
    try:
        with interruption.heeded(), watched(starting.going_on), _following(layout, proof, tickets, progress):
            tuner.fit()
    finally:
        if not storage.is_lost():
            listener.interrupt_the_rest()
    storage.require_held()
    return Ending(
        frozenset(listener.done),
        frozenset(listener.failed),
        interrupted=not course.is_over,
        unsaved=stopper.unsaved,
    )


def _following(
    layout: Layout, proof: Proof | None, tickets: BasicVariantGenerator, progress: Progress
) -> AbstractContextManager[object]:
    """Have as many slots in the block as there is room for, where that may change and nobody has said a number."""
    if proof is None or proof.resources.slots != "auto":
        return nullcontext()

    most = _most_slots()

    def change(slots: int, before: int) -> None:
        tickets.max_concurrent = min(slots, most)
        progress.widen(tickets.max_concurrent)
        progress.say(f"there is room for {counted(slots, 'slot')} now, after {before}", style="")

    able = frozenset(node.id for node in layout.nodes)
    return Width(layout.asked, proof, able=able, refused=frozenset(layout.refused), on_change=change, say=progress.say)


def _most_slots() -> int:
    """Return how many slots this node has memory for, which all are on it."""
    here = ray.get_runtime_context().get_node_id()
    (memory,) = (node["Resources"].get("memory", 0.0) for node in ray.nodes() if node["NodeID"] == here)
    return max(1, int(memory // SLOT_MEMORY_BYTES))


def _prepare_ray(*, joined: bool) -> None:
    set_for("joined_sweep" if joined else "local_sweep")
    set_for("sweep")
    # It looks for Tune's own result files, which are not written here, and complains of each cell.
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    # What Tune keeps its actors with is no option of it.
    tune_controller.RayActorManager = SlotManager
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
    tickets: BasicVariantGenerator,
    listener: Listener,
    stopper: _StopOnRequest,
) -> tune.Tuner:
    """Return what has so many tickets, -1 without end, given to slots, and makes a slot that dies anew."""
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
            search_alg=tickets,
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


class _StopOnRequest(tune.Stopper):  # type: ignore[misc]
    """Ends all trials when the user asks for it, once they are saved, or when they wait for nothing, or write nowhere.

    Args:
        interruption: Whether the user asks for it.
        at_work: Returns the slots that have a cell.
        say: Shows a line.
        is_over: Whether nothing is waited for, or nothing can be written.

    Attributes:
        unsaved: The labels of cells that could not be saved.
    """

    def __init__(
        self,
        interruption: Interruption,
        at_work: Callable[[], AtWork],
        say: Callable[[str], None],
        *,
        is_over: Callable[[], bool],
    ) -> None:
        self._interruption, self._at_work, self._say, self._is_over = interruption, at_work, say, is_over
        self._is_told = False
        self.unsaved: Sequence[str] = ()
        self._handlers = {number: signal.getsignal(number) for number in NOTICES}

    def __getstate__(self) -> dict[str, Any]:
        # As for `Listener`.
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Tune takes SIGUSR1 for itself as it starts, and would end without saving.
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if not self._interruption.requested:
            return self._is_over()
        if not self._is_told:
            self._is_told = True
            self.unsaved = save(self._at_work(), self._say)
        return True
