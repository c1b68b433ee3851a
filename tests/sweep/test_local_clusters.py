"""A Ray that the user has started on this machine, with a token and without: joined in each way that names it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT
from ray_head import running_head, with_token

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PLAN = ("plan", str(ROOT / "experiments" / "quickstart.yaml"), "--nodes", "-o", "resources.workers=1")
NO_TOKEN = "the cluster asks for no token"


@pytest.fixture
def users(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a user who has said nothing of Ray, with a folder for Ray's files."""
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield {name: value for name, value in environment.items() if name != "RAY_ADDRESS"} | {"RAY_TMPDIR": folder}


def call(users: dict[str, str], storage: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    unset = {name: value for name, value in users.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "orchestrator", *PLAN, "-o", f"storage={storage}", *more]
    return subprocess.run(
        command, env=unset | variables, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def gcs_address(users: dict[str, str]) -> str:
    return Path(users["RAY_TMPDIR"], "ray", "ray_current_cluster").read_text()


def test_without_a_token(users: dict[str, str], tmp_path: Path) -> None:
    home = users | {"HOME": str(tmp_path)}
    with running_head(home, tmp_path, gpus=2):
        address = gcs_address(home)
        port = address.rpartition(":")[2]
        for variables in ({}, *({"RAY_ADDRESS": at} for at in ("auto", address, f"127.0.0.1:{port}"))):
            answer = call(home, tmp_path / "runs", **variables)
            assert answer.returncode == 0, answer.stdout + answer.stderr
            assert "1 of 1 node with room can train" in answer.stdout
            assert NO_TOKEN in answer.stdout
            assert ("RAY_ADDRESS is not set" in answer.stdout) is (not variables)
        # Whoever says so has one of its own.
        answer = call(home, tmp_path / "runs", RAY_ADDRESS="local")
        assert answer.returncode == 2
        assert "--nodes: no cluster is joined" in answer.stderr
        # It says that it has two GPUs, of which torch sees none.
        answer = call(home, tmp_path / "runs", "-o", "resources.gpus_per_worker=1")
        assert answer.returncode == 2
        assert "trains nothing: Ray offers 2 GPUs, torch sees 0" in answer.stderr


def test_with_a_token(users: dict[str, str], tmp_path: Path) -> None:
    home = with_token(users | {"HOME": str(tmp_path)})
    with running_head(home, tmp_path):
        for variables in ({}, {"RAY_ADDRESS": "auto"}, {"RAY_ADDRESS": gcs_address(home)}):
            answer = call(users | {"HOME": str(tmp_path)}, tmp_path / "runs", **variables)
            assert answer.returncode == 0, answer.stdout + answer.stderr
            assert NO_TOKEN not in answer.stdout
        elsewhere = users | {"HOME": str(tmp_path / "nobody")}
        answer = call(elsewhere, tmp_path / "runs", RAY_ADDRESS=gcs_address(home))
        assert answer.returncode == 2
        assert "it asks for a token, and there is none here" in answer.stderr


def test_one_that_only_this_machine_reaches(users: dict[str, str], tmp_path: Path) -> None:
    home = users | {"HOME": str(tmp_path)}
    with running_head(home | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}, tmp_path):
        address = gcs_address(home)
        assert address.startswith("127.0.0.1:")
        began_at = time.monotonic()
        answer = call(home, tmp_path / "runs", RAY_ADDRESS=address)
        assert time.monotonic() - began_at < 60
        assert answer.returncode == 2
        assert f"RAY_ADDRESS = {address}: the cluster cannot be joined: it listens on 127.0.0.1 alone" in answer.stderr
