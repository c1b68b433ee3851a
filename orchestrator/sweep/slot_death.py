"""What has ended a slot, and that Tune takes it for an end of the slot alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.experiment import Trial

# What Ray says of whatever it kills before its node has no memory left.
_OUT_OF_MEMORY = re.compile(r"running low on memory\. .*? was (?P<used>.+?) used / (?P<limit>.+?) limit", re.DOTALL)


class SlotManager(RayActorManager):  # type: ignore[misc]
    """Tune's keeper of slots, for which each end of one is an end of it.

    Ray says of an actor that it kills, since its node runs low on memory, that the *task* ran out of it
    (`ray.exceptions.OutOfMemoryError`), which Tune knows nothing of: it would end with an exception, and the sweep too.
    """

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=str(exception))
        super()._actor_task_failed(tracked_actor_task, exception)


def death_of(trial: Trial) -> tuple[str, str]:
    """Return why a trial's slot died: in a line, and in full."""
    # Where `Trial.get_error` looks, Tune has not put it yet. The text has all failures, one after the other.
    file = trial.error_file
    text = Path(file).read_text() if file and Path(file).exists() else str(trial.get_error() or "unknown")
    in_full = text.rpartition("Failure # ")[2].strip()
    if found := _OUT_OF_MEMORY.search(in_full):
        why = f"Ray killed it, since its node ran low on memory ({found['used']} of {found['limit']} in use)"
        return f"{why}: run fewer cells at a time (resources.slots), or less beside them", in_full
    # Both what a slot raised and what Ray says of one that is gone end with the cause.
    last_line = in_full.splitlines()[-1]
    return last_line.removeprefix("RuntimeError: "), in_full
