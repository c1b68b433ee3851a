"""A sweep follows its cluster: slots that have no room wait, and train when a host comes that has some."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from bed import Plan
from commands import until
from ray_hosts import MakeHosts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
CELLS = """
name: cells
dataset: digits
model: convnet
augment: [erm]
seed: [0, 1, 2, 3]
train: {epochs: 60, batch_size_per_worker: 16}
tracking: {models: none}
"""
TRAINS_WITHIN_S = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.yaml"
    path.write_text(CELLS)
    return path


def begun(storage: Path) -> int:
    return len({path.parent for path in (storage / "cells").rglob("*.pt")})


def test_a_number_of_slots_waits_for_hosts_from_none_on(make_hosts: MakeHosts, file: Path, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    with make_hosts(head=Plan(), one=Plan(), two=Plan(interface="ens3")) as hosts:
        hosts.start("head", cpus=0)
        run = hosts.begin("head", "run", file, "-o", f"storage={storage}", "-o", "resources.slots=2")
        run.until_says("there is room now for 0 of 2 slots of 1 x 1 CPU")
        run.until_says("0 of 2 slots train, 2 wait for room for 1 x 1 CPU, or for nodes that join")
        assert begun(storage) == 0
        for number, name in enumerate(("one", "two"), start=1):
            hosts.start(name)
            began_at = time.monotonic()
            until(lambda number=number: begun(storage) >= number, timeout_s=240)
            took_s = time.monotonic() - began_at
            print(f"a cell trains {took_s:.0f} s after its host has come")  # noqa: T201 - with -s
            assert took_s < TRAINS_WITHIN_S
        assert run.wait(timeout_s=600) == 0, run.output
        assert "[4/4 cells" in run.output
        assert "failure" not in run.output


def test_auto_grows_and_two_sweeps_share(make_hosts: MakeHosts, file: Path, tmp_path: Path) -> None:
    with make_hosts(head=Plan(), one=Plan(), two=Plan()) as hosts:
        hosts.start("head", cpus=0)
        hosts.start("one")
        first = hosts.begin("head", "run", file, "-o", f"storage={tmp_path / 'first'}", "-o", "train.epochs=200")
        until(lambda: begun(tmp_path / "first") == 1, timeout_s=240)
        second = hosts.begin("head", "run", file, "-o", f"storage={tmp_path / 'second'}", "-o", "train.epochs=5")
        second.until_says(
            "there is room now for 0 of 1 slot of 1 x 1 CPU (0 CPUs / 0 GPUs, 1 CPU / 0 GPUs (others hold"
        )
        second.until_says("held are 1 CPU by job ")
        assert "orchestrator run" in second.output.partition("held are 1 CPU by job ")[2]
        hosts.start("two")
        assert second.wait(timeout_s=600) == 0, second.output
        # What the second had is the first's now.
        first.until_says("there is room for 2 slots now, after 1")
        until(lambda: begun(tmp_path / "first") >= 2, timeout_s=240)
        assert first.wait(timeout_s=900) == 0, first.output
        assert "[4/4 cells" in first.output
