"""Sweeps that are started as processes, and what they leave in MLflow and on disk."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from commands import ROOT
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.signals import NOTICES


def client_of(storage: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")


def cell_runs(storage: Path, experiment: str) -> list[Run]:
    client = client_of(storage)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], "tags.`zetasweep.kind` = 'cell'", max_results=1000))


def assert_each_epoch_once(storage: Path, run: Run, *, epochs: int) -> None:
    client = client_of(storage)
    names = {name for name in run.data.metrics if name.startswith(("train/", "val/"))} | {"epoch"}
    assert {"train/loss", "val/error", "val/loss", "val/auroc", "val/ece", "epoch"} <= names
    for name in names:
        steps = [row.step for row in client.get_metric_history(run.info.run_id, name)]
        assert sorted(steps) == list(range(1, epochs + 1)), name
    for name in set(run.data.metrics) - names:
        assert len(client.get_metric_history(run.info.run_id, name)) == 1, name


def start(environment: dict[str, str], experiment: Path, storage: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", str(experiment), "-o", f"storage={storage}", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests may have them ignore SIGHUP, by nohup.
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in NOTICES] and None,
    )


def until_tracked(storage: Path, epoch: int, process: subprocess.Popen[str], timeout_s: float = 250) -> Run:
    """Wait until a cell has that epoch in MLflow, and return its run."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        if (storage / "cells").exists():
            for run in cell_runs(storage, "small"):
                if run.data.metrics.get("epoch", 0) >= epoch:
                    return run
        time.sleep(0.2)
    raise AssertionError(f"no cell reached epoch {epoch} in {timeout_s} s")


def until_saved(storage: Path, keys: set[str], process: subprocess.Popen[str], timeout_s: float = 250) -> str:
    """Wait until one of these cells has something to go on from, and return its key."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        for key in keys:
            if list((storage / "cells" / key).glob("0*.pt")):
                return key
        time.sleep(0.05)
    raise AssertionError(f"no cell was saved in {timeout_s} s")


def children_of(pid: int) -> list[tuple[int, str]]:
    """All descendants of a process, with their titles."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    found: list[tuple[int, str]] = []
    parents = {pid}
    while parents:
        level = [(int(row[0]), row[2]) for row in rows if int(row[1]) in parents]
        found += level
        parents = {child for child, _ in level}
    return found


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    workers = [pid for pid, title in children_of(process.pid) if "RayTrainWorker" in title]
    assert len(workers) == 2
    return workers
