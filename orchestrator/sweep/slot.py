"""A warm slot: a Tune trainable that keeps one group of Ray Train workers and has it train one cell after the other.

A worker group takes ten seconds and more to start, a cell of a quick sweep takes less. So a trial of Tune is not a
training of Ray Train: Tune reuses the trainable's actor for trial after trial (``reuse_actors``), and the actor runs
one ``TorchTrainer`` in a thread until the sweep ends. Between the two is a `Mailbox`, an actor of its own: the slot
submits the trial's cell, the workers take it, train it and post its events, and each step of the trial returns one.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.environment import set_for
from orchestrator.records import EpochResult, Event, LastEvent
from orchestrator.sweep.mailbox import Mailbox, Member
from orchestrator.sweep.process_group import torch_config
from orchestrator.sweep.settings import SlotSettings
from orchestrator.sweep.worker import work

# How long a step waits for an event before it returns a heartbeat to Tune: bounds how long Ctrl-C waits.
HEARTBEAT_S = 2.0
# How long a closing slot waits for its workers to leave by themselves; Tune kills the actor after 10 s.
EXIT_GRACE_S = 8.0
# Restarts of a worker group before the slot itself is given up; the mailbox gives up a single cell much earlier.
MAX_GROUP_RESTARTS = 100


class Slot(tune.Trainable):  # type: ignore[misc]
    """Trains one cell per trial; each step waits for the next event of its workers."""

    def setup(self, config: dict[str, Any], settings: SlotSettings) -> None:
        """Take the first cell; the workers start with the first step, since Tune makes actors that it never steps."""
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next cell."""
        self._cell: dict[str, Any] = new_config["job"]["cell"]
        self._submitted = False
        self._epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """Return the next event of the workers, or none as a heartbeat.

        Returns:
            Tune's result: ``epoch``, the last one finished; ``event``; ``placement_group``, what holds the resources of
            the workers, None before they are there; and ``done``, which ends the trial.
        """
        if self._thread is None:
            self._start()
        if not self._submitted:
            ray.get(self._mailbox.submit.remote(self._cell))
            self._submitted = True
        event: Event | None = ray.get(self._mailbox.receive.remote(HEARTBEAT_S))
        if event is None:
            if not self._thread_is_alive():
                raise RuntimeError(f"the slot's worker group ended: {self._error}") from self._error
            self._end_if_stalled()
        elif isinstance(event, EpochResult):
            self._epoch = event.epoch
        return {
            "epoch": self._epoch,
            "event": event,
            "placement_group": ray.get(self._mailbox.placement_group.remote()),
            "done": isinstance(event, LastEvent),
        }

    def cleanup(self) -> None:
        """Let the workers save what they train and leave their loop: then Ray Train frees its placement group."""
        if self._thread is not None:
            with suppress(ray.exceptions.RayActorError):  # a mailbox that died lets them go, too
                ray.get(self._mailbox.close.remote())
            self._thread.join(EXIT_GRACE_S)

    def _end_if_stalled(self) -> None:
        """End a worker group that hangs, e.g. in a collective: Ray Train starts another."""
        silent_s: float | None = ray.get(self._mailbox.silent_s.remote())
        limit_s = self._settings.resources.stall_timeout_s
        if silent_s is None or silent_s < limit_s:
            return
        reason = (
            f"no sign of life for {silent_s:.0f} s (resources.stall_timeout_s = {limit_s:g}): the workers were ended"
        )
        members: list[Member] = ray.get(self._mailbox.give_up.remote(reason))
        for member in members:
            placed = NodeAffinitySchedulingStrategy(member.node_id, soft=False)
            end_worker.options(scheduling_strategy=placed).remote(member.pid)

    def _start(self) -> None:
        # Tune does not pass it on from the driver.
        set_for("slot")
        settings = self._settings
        self._mailbox = ray.remote(num_cpus=0)(Mailbox).remote(max_failures=settings.resources.max_failures)
        resources = {"CPU": settings.resources.cpus_per_worker}
        if settings.resources.gpus_per_worker:
            resources["GPU"] = settings.resources.gpus_per_worker
        trainer = _Trainer(
            work,
            train_loop_config={"mailbox": self._mailbox, "settings": settings},
            torch_config=torch_config(
                "nccl" if settings.resources.gpus_per_worker else "gloo", folder=settings.train_dir
            ),
            scaling_config=ray.train.ScalingConfig(
                num_workers=settings.resources.workers,
                use_gpu=settings.resources.gpus_per_worker > 0,
                resources_per_worker=resources,
            ),
            run_config=ray.train.RunConfig(
                name=f"slot-{ray.get_runtime_context().get_actor_id()}",
                storage_path=settings.train_dir,
                failure_config=ray.train.FailureConfig(max_failures=MAX_GROUP_RESTARTS),
            ),
        )

        def fit() -> None:
            try:
                trainer.fit()
            except Exception as error:  # noqa: BLE001 - it crosses a thread: `step` raises it
                self._error = error

        self._thread = threading.Thread(target=fit, name="trainer", daemon=True)
        self._thread.start()

    def _thread_is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()


class _Trainer(ray.train.torch.TorchTrainer):  # type: ignore[misc]
    """Ray Train's own without its actor for Ray Data, which is not used here and takes seconds to start, every time."""

    def _create_default_callbacks(self) -> list[Any]:
        # Not public. Should Ray stop calling it, the actor is there again, and idles.
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if type(callback).__name__ != "DatasetsCallback"]


@ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
def end_worker(pid: int) -> None:
    """End a worker of this node that may not answer any more."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return  # it has ended, or this is no Linux, where Ray Train's own health check must do
    if b"RayTrainWorker" in title:
        os.kill(pid, signal.SIGKILL)
