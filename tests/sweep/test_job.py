"""A sweep submitted to a Ray cluster, one that asks for a token and one that asks for none."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import ROOT
from mlflow import MlflowClient


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@contextmanager
def running_head(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a head of its own; yield the environment of its users."""
    port, dashboard = free_port(), free_port()
    ray = shutil.which("ray", path=environment["PATH"])
    assert ray is not None
    command = [ray, "start", "--head", "--num-cpus", "2", "--port", str(port), "--dashboard-port", str(dashboard)]
    command += ["--dashboard-host", "127.0.0.1", "--disable-usage-stats", "--object-store-memory", "100000000"]
    # By default all heads of a machine have the same: beside another one's, this one's agent would not come up.
    command += ["--dashboard-agent-listen-port", str(free_port()), "--block"]
    with (tmp_path / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield environment | {"RAY_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def head(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A head with token authentication."""
    with_token = environment | {"RAY_AUTH_MODE": "token"}
    ray = shutil.which("ray", path=environment["PATH"])
    assert ray is not None
    subprocess.run([ray, "get-auth-token", "--generate"], env=with_token, check=True, capture_output=True)
    with running_head(with_token, tmp_path) as users:
        yield users


@pytest.fixture
def open_head(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A head that asks for no token, for users who have none."""
    home = tmp_path / "home"
    home.mkdir()
    without = {name: value for name, value in environment.items() if not name.startswith("RAY_AUTH")}
    with running_head(without | {"HOME": str(home)}, tmp_path) as users:
        yield users


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


@pytest.mark.slow
def test_a_cluster_that_asks_for_no_token_is_joined_and_it_is_said(open_head: dict[str, str], tmp_path: Path) -> None:
    wait_for(open_head)
    overrides = ["-o", "augment=erm", "-o", "seed=0", "-o", "train.epochs=1"]
    arguments = ["run", "experiments/quickstart.yaml", "-o", f"storage={tmp_path / 'runs'}", *overrides]
    answer = submit(open_head, *arguments)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "[1/1 cells" in answer.stdout
    assert "warning:   the cluster is joined without a token" in answer.stdout
    # A token that is there for other clusters does no harm.
    again = submit(open_head | {"RAY_AUTH_TOKEN": 32 * "a", "RAY_AUTH_MODE": "token"}, "plan", *arguments[1:])
    assert again.returncode == 0, again.stdout + again.stderr
