"""The Ray Train run of a slot: one group of workers at a time, of which the mailbox is told when it starts and ends."""

from __future__ import annotations

from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.train.v2._internal.execution.callback import WorkerGroupCallback

from orchestrator.sweep.admission import Admission
from orchestrator.sweep.process_group import group_config
from orchestrator.sweep.settings import SlotSettings
from orchestrator.sweep.worker import work

# Restarts of a worker group before the slot itself is given up; the mailbox gives up a single cell much earlier.
MAX_GROUP_RESTARTS = 100


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
            failure_config=ray.train.FailureConfig(max_failures=MAX_GROUP_RESTARTS),
            callbacks=[_Herald(mailbox), *([] if settings.proof is None else [Admission(mailbox, settings)])],
        ),
    )


class _Trainer(ray.train.torch.TorchTrainer):  # type: ignore[misc]
    """Ray Train's own without its actor for Ray Data, which is not used here and takes seconds to start, every time."""

    def _create_default_callbacks(self) -> list[Any]:
        # Not public. Should Ray stop calling it, the actor is there again, and idles.
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if type(callback).__name__ != "DatasetsCallback"]


class _Herald(WorkerGroupCallback):  # type: ignore[misc]
    """Runs in Ray Train's controller, and tells the mailbox of each group that it starts and ends.

    Not public, as all that Ray Train tells of a start. Should Ray stop calling it, groups that are not there yet are
    watched all the same, and waiting for resources counts as silence.
    """

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        self._mailbox.starting.remote(ray.get_runtime_context().get_actor_id())

    def before_worker_group_shutdown(self, worker_group: Any) -> None:
        self._mailbox.ending.remote()
