"""A sweep submitted to a Ray cluster, one that asks for a token and one that asks for none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT
from mlflow import MlflowClient
from ray_head import running_head, with_token


@pytest.fixture
def head(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A head with token authentication."""
    with running_head(with_token(environment), tmp_path) as users:
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


@pytest.mark.slow
def test_submitted_job_runs_the_quickstart_to_the_end(head: dict[str, str], tmp_path: Path) -> None:
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
    overrides = ["-o", "augment=erm", "-o", "seed=0", "-o", "train.epochs=1"]
    arguments = ["run", "experiments/quickstart.yaml", "-o", f"storage={tmp_path / 'runs'}", *overrides]
    answer = submit(open_head, *arguments)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "[1/1 cells" in answer.stdout
    assert "warning:   the cluster asks for no token" in answer.stdout
    # A token that is there for other clusters does no harm.
    again = submit(open_head | {"RAY_AUTH_TOKEN": 32 * "a", "RAY_AUTH_MODE": "token"}, "plan", *arguments[1:])
    assert again.returncode == 0, again.stdout + again.stderr
