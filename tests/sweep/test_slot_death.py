"""What ends a slot, as Tune takes it, and as the user is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from commands import ROOT
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.execution import tune_controller
from ray.tune.experiment import Trial

from orchestrator.sweep import tuner
from orchestrator.sweep.slot_death import SlotManager, death_of

# As Ray 2.60 says it, shortened in the middle.
OUT_OF_MEMORY = """9 worker(s) were killed due to the node running low on memory. Memory on the node (IP: ::1, ID: c) \
was 22.46GB used / 23.54GB limit (0.953959)
OOM kill reason: Memory usage 24029503488B exceeded threshold of 24012685312B (95.0% of 25276510208B limit)
Refer to the documentation on how to address the out of memory issue: https://docs.ray.io/en/latest/debug-memory.html."""


@pytest.mark.parametrize(
    ("error", "is_death"),
    [
        (OutOfMemoryError(OUT_OF_MEMORY), True),
        (NodeDiedError("its node is gone"), True),
        (ActorDiedError(), True),
        (RayTaskError("step", "a traceback", ValueError("no slot has died")), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_takes_a_slot_away_is_its_death(error: Exception, is_death: bool) -> None:
    died, failed = Mock(), Mock()
    actor = TrackedActor(1, on_error=died)
    manager = SlotManager(resource_manager=Mock())
    manager._live_actors_to_ray_actors_resources[actor] = (Mock(), Mock())
    manager._actor_task_failed(TrackedActorTask(actor, on_error=failed), error)
    assert died.called == is_death
    (told,) = (call.args[1] for call in failed.call_args_list)
    assert isinstance(told, RayActorError if is_death else RayTaskError)
    assert str(told) == str(error)


def test_tune_keeps_its_slots_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only place where it says with what is a name in its module."""
    monkeypatch.setattr(tune_controller, "RayActorManager", tune_controller.RayActorManager)
    monkeypatch.setattr(tuner, "set_for", lambda _: None)
    tuner._prepare_ray(joined=False)
    assert tune_controller.RayActorManager is SlotManager
    assert "RayActorManager" in tune_controller.TuneController.__init__.__code__.co_names


# An actor that takes more memory than Ray lets its node use, once, and is then trained to its end.
KILLED = """
import os, sys, tempfile, time
import psutil, ray
from ray import tune
from ray.tune.execution import tune_controller
from orchestrator.sweep.slot_death import SlotManager

memory = psutil.virtual_memory()
room = 4e9
os.environ |= {
    "RAY_memory_usage_threshold": f"{1 - (memory.available - room) / memory.total:.4f}",
    "RAY_memory_monitor_refresh_ms": "50",
    "RAY_min_memory_free_bytes": "-1",
}
is_mended, folder = sys.argv[1] == "mended", sys.argv[2]

class Slot(tune.Trainable):
    def step(self):
        was_here = os.path.join(folder, "was-here")
        if not os.path.exists(was_here):
            open(was_here, "w").close()
            held = []
            while True:
                held.append(b"x" * 2**28)
                time.sleep(0.1)
        return {"done": True}

    def save_checkpoint(self, _):
        return {}

if is_mended:
    tune_controller.RayActorManager = SlotManager
ray.init(address="local", num_cpus=1, object_store_memory=80_000_000, include_dashboard=False)
run_config = tune.RunConfig(storage_path=folder, failure_config=tune.FailureConfig(max_failures=3), verbose=0)
(result,) = tune.Tuner(Slot, run_config=run_config).fit()
print("died and done:", result.error is None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["as it is", "mended"])
def test_tune_ends_where_ray_kills_for_want_of_memory_unless_that_is_a_death(
    environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """Should the first fail, Tune knows it by itself, and `SlotManager` can go."""
    if (free := psutil.virtual_memory().available) < 8e9:
        pytest.skip(f"only {free / 1e9:.1f} GB of memory are free")
    command = [sys.executable, "-c", KILLED, kind, str(tmp_path)]
    answer = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert ("died and done: True" in answer.stdout) == (kind == "mended"), answer.stdout + answer.stderr
    assert ("Caught unexpected exception: 1 worker(s) were killed" in answer.stderr) == (kind != "mended")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (OUT_OF_MEMORY, "Ray killed it, since its node ran low on memory (22.46GB of 23.54GB in use): run fewer cells"),
        ("Traceback:\n  in step\nRuntimeError: the mailbox gave no answer", "the mailbox gave no answer"),
    ],
    ids=["memory", "anything"],
)
def test_the_reason_is_a_line_with_what_helps(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "error.txt"
    file.write_text(f"Failure # 1 (occurred at noon)\nbefore\nFailure # 2 (occurred at one)\n{text}\n")
    said, in_full = death_of(Mock(spec=Trial, error_file=str(file)))
    assert said.startswith(line)
    assert in_full.endswith(text)
