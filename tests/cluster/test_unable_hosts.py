"""Hosts that cannot train are named before anything is trained, and when they come later; the others train."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from bed import Plan
from commands import ROOT, until
from mlflow import MlflowClient
from ray_hosts import MakeHosts, RayHosts, Running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
ONE_WORKER = """
name: one
dataset: digits
model: convnet
augment: [erm]
seed: [0]
train: {epochs: 40, batch_size_per_worker: 16}
tracking: {models: none}
"""
REFUSED_WITHIN_S = 20.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.yaml"
    path.write_text(ONE_WORKER)
    return path


@pytest.fixture
def older_torch(tmp_path: Path) -> dict[str, str]:
    """What a host has in its environment on which another torch is installed."""
    about = tmp_path / "older" / "torch-2.14.0.dist-info" / "METADATA"
    about.parent.mkdir(parents=True)
    about.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.14.0\n")
    return {"PYTHONPATH": f"{tmp_path / 'older'}:{ROOT}"}


def refused(hosts: RayHosts, *arguments: str | Path) -> str:
    """Run a sweep that is refused; return what it says, once it is seen to have taken no time and trained nothing."""
    run = hosts.begin("head", "run", *arguments)
    # MLflow's new store and Ray's import take the machine what they take.
    run.until_says("artifacts: ")
    began_at = time.monotonic()
    assert run.wait() == 2, run.output
    took_s = time.monotonic() - began_at
    assert took_s < REFUSED_WITHIN_S
    assert "starting the workers" not in run.output
    return run.output


def cell_runs(storage: Path) -> list[object]:
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiments = [entry.experiment_id for entry in client.search_experiments()]
    return list(client.search_runs(experiments, "tags.`zetasweep.kind` = 'cell'"))


def test_each_is_named_and_nothing_is_trained(
    make_hosts: MakeHosts, file: Path, tmp_path: Path, older_torch: dict[str, str]
) -> None:
    disk = str(tmp_path / "disk")
    plans = {"head": Plan(own=(disk,)), "alien": Plan(own=(disk,)), "stale": Plan(own=(disk,)), "blind": Plan()}
    with make_hosts(**plans) as hosts:
        hosts.start("head", cpus=0)
        hosts.start("alien")
        hosts.start("stale", **older_torch)
        own = f"storage={disk}/runs"
        said = refused(hosts, file, "-o", own)
        assert f"node alien (10.77.0.2) trains nothing: {disk}/runs is not there" in said
        assert f"node stale (10.77.0.3) trains nothing: torch 2.14.0 (here 2.15.0); {disk}/runs is not there" in said
        assert "remedy:  mount it there under the same path" in said
        # `plan` and `doctor` find the same, in the same words.
        planned = hosts.zetasweep("head", "plan", file, "--nodes", "-o", own)
        assert planned.returncode == 2
        assert f"node alien (10.77.0.2) trains nothing: {disk}/runs is not there" in planned.stderr
        examined = hosts.zetasweep("head", "doctor", file, "-o", own)
        assert examined.returncode == 1
        assert f"node alien (10.77.0.2): {disk}/runs is not there" in examined.stdout
        assert "node stale (10.77.0.3): torch 2.14.0 (here 2.15.0)" in examined.stdout
        # On a shared disk one of the two can train.
        shared = f"storage={tmp_path / 'runs'}"
        planned = hosts.zetasweep("head", "plan", file, "--nodes", "-o", shared)
        assert planned.returncode == 0, planned.stdout + planned.stderr
        assert "warning:   node stale (10.77.0.3) trains nothing: torch 2.14.0 (here 2.15.0)" in planned.stdout
        assert "1 of 2 nodes with room can train" in planned.stdout
        hosts.start("blind", "--num-gpus", "2")
        said = refused(hosts, file, "-o", shared, "-o", "resources.gpus_per_worker=1")
        assert "node blind (10.77.0.4) trains nothing: Ray offers 2 GPUs, torch sees 0: torch 2.15.0" in said
        assert "no NVIDIA driver answers" in said
        assert cell_runs(tmp_path / "runs") == []


def test_one_that_comes_later_is_named_and_trains_nothing(
    make_hosts: MakeHosts, file: Path, tmp_path: Path, older_torch: dict[str, str]
) -> None:
    with make_hosts(head=Plan(), first=Plan(), stale=Plan(), second=Plan(interface="ens3")) as hosts:
        hosts.start("head", cpus=0)
        hosts.start("first")
        run = hosts.begin("head", "run", file, "-o", f"storage={tmp_path / 'runs'}", "-o", "train.epochs=120")
        until(lambda: any((tmp_path / "runs" / "cells").rglob("*.pt")), timeout_s=240)
        hosts.hosts["first"].power_off()
        hosts.start("stale", **older_torch)
        run.until_says("node stale (10.77.0.3) trains nothing: torch 2.14.0 (here 2.15.0)")
        hosts.start("second")
        assert run.wait() == 0, run.output
        assert "[1/1 cells" in run.output
        assert len(cell_runs(tmp_path / "runs")) == 1


def test_one_that_does_not_answer_is_left_out(make_hosts: MakeHosts, file: Path, tmp_path: Path) -> None:
    with make_hosts(head=Plan(), first=Plan(), mute=Plan()) as hosts:
        # Dead is a node after a minute, as by default: until then it is one that does not answer.
        hosts.environment = {name: value for name, value in hosts.environment.items() if "health" not in name}
        hosts.start("head", cpus=0)
        hosts.start("first")
        hosts.start("mute")
        hosts.hosts["mute"].cut()
        run = hosts.begin("head", "run", file, "-o", f"storage={tmp_path / 'runs'}", "-o", "train.epochs=2")
        assert run.wait() == 0, run.output
        assert "node mute (10.77.0.3) trains nothing: " in run.output


def test_workers_that_do_not_reach_each_other_say_so_in_time(make_hosts: MakeHosts, file: Path, tmp_path: Path) -> None:
    with make_hosts(head=Plan(), second=Plan()) as hosts:
        for name in ("head", "second"):
            hosts.start(name, GLOO_SOCKET_IFNAME="lo")
        more = ("resources.workers=2", "resources.start_timeout_s=60", "resources.max_failures=1")
        run: Running = hosts.begin(
            "head", "run", file, "-o", f"storage={tmp_path / 'runs'}", *(part for over in more for part in ("-o", over))
        )
        run.until_says("the workers do not reach each other (rank 0 at 10.77.0.")
        assert run.wait() == 1, run.output
        # What they held was free again for each new start.
        assert "0 of 2 CPUs are free" not in run.output
        assert "resources.start_timeout_s = 60): the workers do not reach each other" in run.output
