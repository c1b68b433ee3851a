"""The Ray Train run of a slot: one group of workers at a time, of which the mailbox is told when it starts and ends."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.train.v2.api.exceptions import PreemptionError

from orchestrator.sweep.admission import Admission
from orchestrator.sweep.placement import is_alive
from orchestrator.sweep.process_group import group_config
from orchestrator.sweep.settings import SlotSettings
from orchestrator.sweep.worker import work

# How long the death of a worker that does not answer may take to get known.
DEATH_IS_KNOWN_S = 5.0


def make_trainer(name: str, mailbox: Any, settings: SlotSettings) -> ray.train.torch.TorchTrainer:
    """Return what starts the workers of a slot, and starts them again when they die, until the mailbox is closed.

    Args:
        name: Of the run, unlike any other.
        mailbox: Handle of the slot's `Mailbox`.
        settings: Of the slot.
    """
    resources = {"CPU": settings.resources.cpus_per_worker}
    if settings.resources.gpus_per_worker:
        resources["GPU"] = settings.resources.gpus_per_worker
    return _Trainer(
        work,
        train_loop_config={"mailbox": mailbox, "settings": settings},
        torch_config=group_config(
            "nccl" if settings.resources.gpus_per_worker else "gloo", folder=settings.train_dir, mailbox=mailbox
        ),
        scaling_config=ray.train.ScalingConfig(
            num_workers=settings.resources.workers,
            use_gpu=settings.resources.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=settings.train_dir,
            # What is too much of whatever kind, the mailbox knows.
            failure_config=ray.train.FailureConfig(max_failures=-1),
            callbacks=[_Herald(mailbox), *([] if settings.proof is None else [Admission(mailbox, settings)])],
        ),
    )


class _Trainer(ray.train.torch.TorchTrainer):  # type: ignore[misc]
    """Ray Train's own without its actor for Ray Data, which is not used here and takes seconds to start, every time."""

    def _create_default_callbacks(self) -> list[Any]:
        # Not public. Should Ray stop calling it, the actor is there again, and idles.
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if type(callback).__name__ != "DatasetsCallback"]


class _Herald(ControllerCallback, WorkerGroupCallback):  # type: ignore[misc]
    """Runs in Ray Train's controller, and tells the mailbox of each group that it starts and ends, and why.

    Not public, as all that Ray Train tells of a start. Should Ray stop calling it, groups that are not there yet are
    watched all the same, and waiting for resources counts as silence.
    """

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        self._mailbox.starting.remote(ray.get_runtime_context().get_actor_id())

    def before_worker_group_shutdown(self, worker_group: Any) -> None:
        self._mailbox.ending.remote()

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        error = getattr(current_state, "training_failed_error", None)
        # Who cannot be asked now is no reason to end the slot.
        with suppress(ray.exceptions.RayError):
            if error is not None and (excuse := _excuse_of(error)) is not None:
                self._mailbox.excuse_last.remote(excuse)


def _excuse_of(error: Exception) -> str | None:
    """Return why a group that Ray Train has to replace ended, if its cell had no part in that; else None."""
    if isinstance(error, PreemptionError):
        return "its node was taken away: no failure of the cell"
    for rank, failure in getattr(error, "worker_failures", {}).items():
        cause = getattr(failure, "health_check_failure", failure)
        if isinstance(cause, RayActorError) and cause.preempted:
            return f"the node of rank {rank} was taken away: no failure of the cell"
        # A process that was killed cannot be reached, either, until Ray knows of its death.
        if isinstance(cause, ActorUnavailableError) and is_alive(cause.actor_id, after_s=DEATH_IS_KNOWN_S):
            return f"rank {rank} could not be reached: no failure of the cell"
    return None
