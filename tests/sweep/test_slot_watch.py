"""What the driver ends and frees, on a real cluster: a process of its own, since Ray is one for each process."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from commands import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SCRIPT = """
import json, os, signal, sys, threading, time
from types import SimpleNamespace

from orchestrator.environment import prepare_program

prepare_program()

import psutil
import ray
from ray._private.state import state
from ray.util.placement_group import placement_group, remove_placement_group

from orchestrator.experiment import Resources
from orchestrator.sweep import slot_watch
from orchestrator.sweep.placement import waits_for_resources
from orchestrator.sweep.slot_watch import SlotWatch

slot_watch.LOOK_EVERY_S = 0.2
DEADLINE = time.monotonic() + 400


def until(condition, look=lambda: None):
    while not condition():
        assert time.monotonic() < DEADLINE
        look()
        time.sleep(0.1)


def ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@ray.remote(num_cpus=0)
class Controller:
    def __init__(self, slow_at=None):
        if slow_at:
            with open(slow_at, "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)

    def pid(self):
        return os.getpid()

    def hold(self, cpus):
        self.held = placement_group([{"CPU": cpus}])
        return ray.get_runtime_context().get_actor_id()

    def hold_later(self, cpus, asked, held):
        def wait():
            until(lambda: os.path.exists(asked))
            self.hold(cpus)
            open(held, "w").close()

        threading.Thread(target=wait, daemon=True).start()
        return ray.get_runtime_context().get_actor_id()


def cpus():
    return ray.available_resources().get("CPU", 0.0)


ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
said = []
watch = SlotWatch(Resources(stall_timeout_s=5, start_timeout_s=5), said.append)
found = {}

# What an actor that died held is freed, in whatever state it is; what others hold stays.
dead, alive = Controller.remote(), Controller.remote()
ray.get([dead.hold.remote(1), alive.hold.remote(1)])
own = placement_group([{"CPU": 1}])
until(lambda: cpus() == 0)
waiting = ray.get(alive.hold.remote(1))
until(lambda: waits_for_resources(waiting))
watch.look([])
time.sleep(1)
found["freed while it lived"] = cpus()
os.kill(ray.get(dead.pid.remote()), signal.SIGKILL)
until(lambda: not waits_for_resources(waiting), lambda: watch.look([]))
found["free, of 3, after it was given to the one that waited"] = cpus()

# So is what an actor asks for that Ray has for dead and whose process is still there: a busy node ends it late.
remove_placement_group(own)
until(lambda: cpus() == 1)
late = Controller.remote()
asked, held = sys.argv[1] + ".asked", sys.argv[1] + ".held"
late_id = ray.get(late.hold_later.remote(1, asked, held))
(raylet,) = [each for each in psutil.Process().children(recursive=True) if each.name() == "raylet"]
raylet.suspend()
ray.kill(late)
until(lambda: state.actor_table(late_id)["State"] == "DEAD")
open(asked, "w").close()
until(lambda: os.path.exists(held))
raylet.resume()
until(lambda: cpus() == 0)
until(lambda: cpus() == 1, lambda: watch.look([]))
found["freed of one that asked late"] = cpus()

# A slot that stops to answer is ended, also one that is stopped.
slot = Controller.remote()
pid = ray.get(slot.pid.remote())
trial = SimpleNamespace(trial_id="a", temporary_state=SimpleNamespace(ray_actor=slot))
for _ in range(4):
    watch.hear(trial, stepped=True)
    time.sleep(2)
    watch.look([trial])
assert said == []
os.kill(pid, signal.SIGSTOP)
until(lambda: ended(pid), lambda: watch.look([trial]))
found["said of the slot"], said[:] = said[0], []

# An actor that never comes to be is ended.
path = sys.argv[1]
made = Controller.remote(path)
until(lambda: os.path.exists(path) and open(path).read())
pid = int(open(path).read())
os.kill(pid, signal.SIGSTOP)
until(lambda: ended(pid), lambda: watch.look([]))
found["said of the actor"] = said[0].replace(str(pid), "PID")
print(json.dumps(found))
"""


def test_what_the_driver_looks_after(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # Ray puts Unix sockets there, whose paths may have 107 bytes: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        finished = subprocess.run(
            [sys.executable, script, tmp_path / "pid"],
            cwd=ROOT,
            env=environment | {"RAY_TMPDIR": folder, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=550,
            check=False,
        )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()[-1]
    assert '"freed while it lived": 0' in lines
    assert '"free, of 3, after it was given to the one that waited": 0' in lines
    assert '"freed of one that asked late": 1' in lines
    assert re.search(r"a slot gave no sign of life for \d+ s \(resources.stall_timeout_s = 5\): it is ended", lines)
    making = (
        r"Controller \(process PID\), which starts, gave no sign of life for \d+ s \(resources.start_timeout_s = 5\)"
    )
    assert re.search(making, lines)
