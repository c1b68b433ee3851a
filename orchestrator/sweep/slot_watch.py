"""What the driver looks after: slots that have stopped to answer, and what those that died left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import ray
from ray._private.state import actors
from ray.tune.experiment import Trial

from orchestrator.experiment import Resources
from orchestrator.sweep.placement import free_orphans
from orchestrator.sweep.processes import end_process
from orchestrator.sweep.watch import gap_of

LOOK_EVERY_S = 2.0
# A slot bounds its own waits by the same limits, begun later: where it can still say which one was too long, it shall.
PATIENCE = 1.5


class SlotWatch:
    """Ends slots, and actors of theirs, that are silent for too long: Tune waits for them without a limit.

    Args:
        resources: The limits.
        say: Shows a line.
    """

    def __init__(self, resources: Resources, say: Callable[[str], None]) -> None:
        self._resources, self._say = resources, say
        self._heard: dict[str, tuple[float, bool]] = {}
        self._making: dict[str, float] = {}
        self._looked_at = time.monotonic()

    def hear(self, trial: Trial, *, stepped: bool) -> None:
        """Take a sign of life of the slot that has this trial: its start, or that it has `stepped`."""
        self._heard[trial.trial_id] = time.monotonic(), stepped

    def look(self, trials: Sequence[Trial]) -> None:
        """End what has been silent for too long and free what nobody holds; done every few seconds."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        uncounted = gap_of(now - self._looked_at)
        self._heard = {trial_id: (at + uncounted, stepped) for trial_id, (at, stepped) in self._heard.items()}
        self._making = {name: since + uncounted for name, since in self._making.items()}
        self._looked_at = now
        free_orphans()
        self._end_what_is_not_made(now)
        for trial in trials:
            slot = trial.temporary_state.ray_actor
            if slot is None:
                self._heard.pop(trial.trial_id, None)
                continue
            heard_at, stepped = self._heard.setdefault(trial.trial_id, (now, False))
            key = "stall_timeout_s" if stepped else "start_timeout_s"
            limit_s: float = getattr(self._resources, key)
            if now - heard_at >= PATIENCE * limit_s:
                self._heard[trial.trial_id] = now, False
                self._say_ended("a slot", now - heard_at, f"resources.{key} = {limit_s:g}")
                ray.kill(slot)

    def _end_what_is_not_made(self, now: float) -> None:
        """End processes that were to become actors and do not."""
        job_id = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
        pending = {
            name: actor
            for name, actor in actors(job_id=job_id, actor_state_name="PENDING_CREATION").items()
            if actor["Pid"]  # the others wait for resources
        }
        limit_s = self._resources.start_timeout_s
        self._making = {name: self._making.get(name, now) for name in pending}
        for name, since in self._making.items():
            if now - since >= limit_s:
                self._making[name] = now
                what = f"{pending[name]['ActorClassName']} (process {pending[name]['Pid']}), which starts,"
                self._say_ended(what, now - since, f"resources.start_timeout_s = {limit_s:g}")
                end_process(pending[name]["Address"]["NodeID"], pending[name]["Pid"])

    def _say_ended(self, what: str, silent_s: float, limit: str) -> None:
        self._say(f"{what} gave no sign of life for {silent_s:.0f} s ({limit}): it is ended")
