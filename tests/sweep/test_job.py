"""A sweep submitted to a Ray cluster that asks for a token."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT
from mlflow import MlflowClient


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture
def head(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A head of its own with token authentication; yields the environment of its users."""
    with_token = environment | {"RAY_AUTH_MODE": "token"}
    port, dashboard = free_port(), free_port()
    ray = shutil.which("ray", path=environment["PATH"])
    assert ray is not None
    subprocess.run([ray, "get-auth-token", "--generate"], env=with_token, check=True, capture_output=True)
    command = [ray, "start", "--head", "--num-cpus", "2", "--port", str(port), "--dashboard-port", str(dashboard)]
    command += ["--dashboard-host", "127.0.0.1", "--disable-usage-stats", "--object-store-memory", "100000000"]
    # By default all heads of a machine have the same: beside another one's, this one's agent would not come up.
    command += ["--dashboard-agent-listen-port", str(free_port()), "--block"]
    with (tmp_path / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=with_token, stdout=log, stderr=log)
        try:
            yield with_token | {"RAY_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        finally:
            process.terminate()
            process.wait(60)


def submit(head: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    ray = shutil.which("ray", path=head["PATH"])
    command = [str(ray), "job", "submit", "--working-dir", str(ROOT), "--", "python", "-m", "orchestrator", *arguments]
    return subprocess.run(command, env=head, capture_output=True, text=True, timeout=280, check=False)


def wait_for(head: dict[str, str]) -> None:
    ray = shutil.which("ray", path=head["PATH"])
    for _ in range(60):
        listed = subprocess.run([str(ray), "job", "list"], env=head, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return
        time.sleep(1)
    raise AssertionError(f"the head did not come up: {listed.stdout}{listed.stderr}")


@pytest.mark.slow
def test_submitted_job_runs_the_quickstart_to_the_end(head: dict[str, str], tmp_path: Path) -> None:
    wait_for(head)
    storage = tmp_path / "runs"
    overrides = [
        "-o",
        "augment=[erm, {zeta_mixup: {gamma: 2.8, num_mixed: 4}}]",
        "-o",
        "seed=0",
        "-o",
        "train.epochs=2",
    ]
    arguments = ["run", "experiments/quickstart.yaml", "-o", f"storage={storage}", *overrides]
    refused = submit(head | {"RAY_AUTH_MODE": "disabled"}, *arguments)
    assert refused.returncode != 0
    assert not storage.exists()
    answer = submit(head, *arguments)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "[2/2 cells" in answer.stdout
    assert "succeeded" in answer.stdout
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`zetasweep.kind` = 'cell'")
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
