"""Where artifacts go, and whether they are there, in a real SQLite store."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Call
from mlflow import MlflowClient
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator import records
from orchestrator.errors import UserError
from orchestrator.opened import Opened
from orchestrator.opened.tracked import tracker_of
from orchestrator.storage import journal
from orchestrator.tracking.tracker import Tracker

EXPERIMENT = "{name: small, dataset: digits, model: convnet, augment: erm, train: {epochs: 2}, storage: STORAGE}"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a command is given in: nothing may be left there."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert list(folder.iterdir()) == []


def opened(tmp_path: Path, *overrides: str) -> Opened:
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT.replace("STORAGE", str(tmp_path / "runs")))
    return Opened(str(path), overrides)


def location_of(client: MlflowClient, name: str = "small") -> str:
    known = client.get_experiment_by_name(name)
    assert known is not None
    return str(known.artifact_location)


def started(experiment: Opened) -> tuple[Tracker, list[str]]:
    """A sweep that was begun and ended, and what it says of its artifacts."""
    experiment.storage.prepare()
    tracker = tracker_of(experiment)
    tracker.sweep.open(experiment.experiment, {})
    said = [line for line, _ in tracker.sweep.describe_artifacts(experiment.experiment)]
    tracker.sweep.close(complete=True)
    return tracker, said


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("how", ["by default", "a database", "a folder", "an address"])
def test_artifacts_go_where_they_are_not_lost(uri: str, tmp_path: Path, how: str) -> None:
    folder = tmp_path / ("runs/artifacts" if how in ("by default", "a database") else "kept here")
    overrides = {
        "by default": [],
        "a database": [f"tracking.uri={uri}"],
        "a folder": [f"tracking.uri={uri}", f"tracking.artifacts={folder}"],
        "an address": [f"tracking.artifacts={folder.as_uri()}"],
    }
    tracker, said = started(opened(tmp_path, *overrides[how]))
    assert location_of(tracker.store.client) == (folder / "small").as_uri()
    assert said == [f"artifacts: {folder / 'small'}"]
    assert [path.name for path in (folder / "small").iterdir()] == [tracker.sweep.run_id]
    assert {path.name for path in (folder / "small" / tracker.sweep.run_id / "artifacts").iterdir()} == {
        "environment.json",
        "experiment.json",
    }


@pytest.mark.usefixtures("elsewhere")
def test_an_experiment_keeps_its_place_and_it_is_said(uri: str, tmp_path: Path) -> None:
    before = (tmp_path / "mlruns" / "1").as_uri()
    MlflowClient(uri).create_experiment("small", artifact_location=before)
    tracker, said = started(opened(tmp_path, f"tracking.uri={uri}"))
    assert location_of(tracker.store.client) == before
    assert said[0] == f"artifacts: {tmp_path / 'mlruns' / '1'}"
    assert f"would have {tmp_path / 'runs' / 'artifacts' / 'small'}" in said[1]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("place", ["FOLDER/file/below", "nowhere://bucket/folder", "s3://bucket"])
def test_a_place_that_cannot_be_written_to_is_refused_before_mlflow_keeps_it(
    uri: str, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    place = place.replace("FOLDER", str(tmp_path))
    experiment = opened(tmp_path, f"tracking.uri={uri}", f"tracking.artifacts={place}")
    with pytest.raises(UserError, match=rf"tracking\.artifacts: .* cannot be written to {place}/small \("):
        started(experiment)
    assert MlflowClient(uri).get_experiment_by_name("small") is None


@pytest.fixture
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own; yields the tracking URI of a new database."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    binaries = found[-1].parent if found else Path(shutil.which("pg_ctl") or "").parent
    if not (binaries / "initdb").is_file():
        pytest.skip("PostgreSQL is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # It refuses to run as root, and the user that it runs as must reach its folder.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        user = {"user": "nobody", "cwd": folder}

    def run(*command: str | Path) -> None:
        subprocess.run([binaries / command[0], *command[1:]], check=True, capture_output=True, timeout=120, **user)

    run("initdb", "-D", folder / "data", "-U", "mlflow", "--auth=trust")
    run("pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", f"-p {port} -k {folder}", "start")
    try:
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.slow
def test_artifacts_of_a_real_postgresql_go_to_storage(
    postgres: str, elsewhere: Path, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    experiment = opened(tmp_path, f"tracking.uri={postgres}")
    (cell,) = experiment.cells
    folder = experiment.storage.cell(cell.key).path
    save_weights(folder)
    journal.begin(folder)
    for event in (records.Opened(1), records.Started(FACTS), epoch(1), epoch(2), RESULT):
        journal.append(folder, event)
    monkeypatch.chdir(elsewhere)
    overrides = ("-o", f"tracking.uri={postgres}")
    answer = call("sync", tmp_path / "small.yaml", *overrides)
    assert answer.code == 0, answer.out + answer.err
    assert f"artifacts: {experiment.storage.artifacts_dir / 'small'}" in answer.out
    looked = call("doctor", tmp_path / "small.yaml", *overrides)
    assert looked.code == 0, looked.out
    answer = call("select", tmp_path / "small.yaml", *overrides, "--register", "mine")
    assert answer.code == 0, answer.out + answer.err
    assert "registered as mine" in answer.out
