"""A warm slot: a Tune trainable that keeps one group of Ray Train workers and has it train one cell after the other.

A worker group takes ten seconds and more to start, a cell of a quick sweep takes less. So a trial of Tune is not a
training of Ray Train: Tune reuses the trainable's actor for trial after trial (``reuse_actors``), and the actor runs
one ``TorchTrainer`` in a thread until the sweep ends. A trial is a ticket for one leg, a cell and the epoch that it is
trained to, which the driver says when the trial runs (`orchestrator.sweep.dispatcher`). Between slot and workers is a
`Mailbox`, an actor of its own: the slot submits the cell, the workers take it, train it and post its events, and each
step of the trial returns one.

Who waits is watched by who started it: the workers, Ray Train and the mailbox by the slot, which ends the workers or
itself; the slot by the driver (`orchestrator.sweep.slot_watch`). An actor takes those that it started with it.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray import tune

from orchestrator.environment import set_for
from orchestrator.records import EpochResult, Event, LastEvent, Started
from orchestrator.sweep.dispatcher import GetReady, Task
from orchestrator.sweep.group import make_trainer
from orchestrator.sweep.mailbox import Mailbox, Silence
from orchestrator.sweep.placement import lost_nodes, on_node, waits_for_resources
from orchestrator.sweep.processes import end_process
from orchestrator.sweep.settings import SlotSettings

# How long a step waits for an event before it returns a heartbeat to Tune: bounds how long Ctrl-C waits.
HEARTBEAT_S = 2.0
# How long a slot that ends waits for its workers, which train nothing any more: two seconds later Tune kills it.
EXIT_GRACE_S = 8.0
# How often it is looked whether all is saved.
LOOK_EVERY_S = 0.2


class Slot(tune.Trainable):  # type: ignore[misc]
    """Trains one leg per trial; each step waits for the next event of its workers, or first for the leg."""

    def setup(self, config: dict[str, Any], settings: SlotSettings, dispatcher: Any) -> None:
        """Prepare; workers start with the first leg, or when told to: Tune makes actors that it never steps."""
        self._settings, self._dispatcher = settings, dispatcher
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._nodes = frozenset[str]()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next ticket."""
        self._task: Task | None = None
        self._gets_ready = self._submitted = False
        self._epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """Return the next event of the workers, or none as a heartbeat.

        Returns:
            Tune's result: ``epoch``, the last one finished; ``event``; ``starting``, whether a group of workers is
            being started; ``waits``, whether the ticket waits to be told anything; ``nodes``, the ids of those that
            the workers were on when that was asked last; and ``done``, which ends the trial.
        """
        if self._is_getting_ready:
            return self._get_ready()
        task = self._task or self._next_task()
        if task is None:
            return self._result(waits=not self._is_getting_ready)
        if self._thread is None:
            self._start()
        if not self._submitted:
            self._ask("submit", task.cell, task.until)
            self._submitted = True
        event: Event | None = self._ask("receive", HEARTBEAT_S)
        starting = False
        if event is None:
            starting = self._look_after_the_workers()
        elif isinstance(event, EpochResult):
            self._epoch = event.epoch
        elif isinstance(event, Started):
            self._nodes = self._ask("nodes")
        return self._result(event, starting=starting)

    def leave(self) -> bool:
        """Let the workers save what they train and leave their loop; return whether all of it is saved.

        Who asks bounds the wait, and does so before Tune ends the slot.
        """
        if self._thread is None:
            return True
        self._ask("close")
        while (saved := self._ask("is_saved")) is None and self._thread_is_alive():
            time.sleep(LOOK_EVERY_S)
        return bool(saved)

    def cleanup(self) -> None:
        """Let the workers leave their loop: then Ray Train frees its placement group."""
        if self._thread is not None:
            with suppress(ray.exceptions.RayError):  # a mailbox that died lets them go, too
                ray.get(self._mailbox.close.remote(), timeout=HEARTBEAT_S)
            self._thread.join(EXIT_GRACE_S)

    def _result(self, event: Event | None = None, *, starting: bool = False, waits: bool = False) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "event": event,
            "starting": starting,
            "waits": waits,
            "nodes": self._nodes,
            "done": isinstance(event, LastEvent),
        }

    @property
    def _is_getting_ready(self) -> bool:
        return self._gets_ready and not self._nodes

    def _next_task(self) -> Task | None:
        """Wait for the ticket's leg, no longer than for an event; get ready if that is asked."""
        task: Task | GetReady | None = None
        # It is made anew, and told again; one that Ray kills for want of memory is no RayActorError.
        with suppress(ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError):
            task = ray.get(self._dispatcher.take.remote(self.trial_id, HEARTBEAT_S))
        if isinstance(task, GetReady):
            self._gets_ready = True
            if self._thread is None:
                self._start()
        else:
            self._task = task
        return self._task

    def _get_ready(self) -> dict[str, Any]:
        """Wait for the workers, which have no leg yet; return what they say meanwhile, and where they are at last."""
        event: Event | None = self._ask("receive", HEARTBEAT_S)
        starting = event is None and self._look_after_the_workers()
        if event is None:
            self._nodes = self._ask("nodes")
        return self._result(event, starting=starting)

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Return the mailbox's answer.

        Raises:
            RuntimeError: It gives none.
        """
        resources = self._settings.resources
        key = "stall_timeout_s" if self._submitted else "start_timeout_s"
        limit_s: float = getattr(resources, key)
        try:
            return ray.get(getattr(self._mailbox, method).remote(*arguments), timeout=limit_s)
        except ray.exceptions.GetTimeoutError:
            reason = f"the mailbox of its workers gave no answer for {limit_s:g} s (resources.{key})"
            raise RuntimeError(reason) from None

    def _look_after_the_workers(self) -> bool:
        """End a worker group that hangs, e.g. in a collective, so that Ray Train starts another.

        Returns:
            Whether it is starting one.

        Raises:
            RuntimeError: Ray Train has given up, or does not start or end a group in time.
        """
        if not self._thread_is_alive():
            raise RuntimeError(f"the slot's worker group ended: {self._error}") from self._error
        controller: str | None = self._ask("started_by")
        if controller is not None and waits_for_resources(controller):
            self._ask("wait_for_resources")
            return True
        silence: Silence | None = self._ask("silence")
        if silence is not None and not silence.members:
            raise RuntimeError(silence.reason)
        for member in () if silence is None else silence.members:
            end_process(member.node_id, member.pid)
        return controller is not None

    def _start(self) -> None:
        # Tune does not pass it on from the driver.
        set_for("slot")
        here = on_node(ray.get_runtime_context().get_node_id())
        mailbox = ray.remote(num_cpus=0, label_selector=here)(Mailbox)
        self._mailbox = mailbox.remote(self._settings.resources, lost_nodes)
        name = f"slot-{ray.get_runtime_context().get_actor_id()}"
        trainer = make_trainer(name, self._mailbox, self._settings)

        def fit() -> None:
            try:
                trainer.fit()
            except Exception as error:  # noqa: BLE001 - it crosses a thread: `step` raises it
                self._error = error

        self._thread = threading.Thread(target=fit, name="trainer", daemon=True)
        self._thread.start()

    def _thread_is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()
