"""A confirmation on a real Ray cluster: interrupted in the middle, and finished by the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ROOT, Call, Zetasweep
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.experiment.cells import expand
from orchestrator.experiment.load import load_experiment
from orchestrator.storage import Confirmation, Storage
from orchestrator.train import __main__ as train_cli

EXPERIMENT = """
name: small
dataset: {digits: {num_train: 600}}
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}, {zeta_mixup: {gamma: 2.8, num_mixed: 4}}]
seed: [0, 1]
train: {epochs: 8, batch_size_per_worker: 32}
"""
EPOCHS = 8


def cell_runs(storage: Path, experiment: str) -> list[Run]:
    if not Storage(storage).confirmation("small").exists():
        return []  # whoever looks before would make the store
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return []
    return list(client.search_runs([known.experiment_id], "tags.`zetasweep.kind` = 'cell'"))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two starts of a cluster's workers
def test_a_confirmation_that_is_interrupted_goes_on_with_what_was_chosen(
    zetasweep: Zetasweep, call: Call, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, storage = tmp_path / "small.yaml", tmp_path / "runs"
    file.write_text(f"{EXPERIMENT}storage: {storage}\n")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for cell in expand(load_experiment(file)):
        assert train_cli.main([str(file), "--cell", cell.key]) == 0
    call("status", file)  # and what the trainings printed
    table = call("compare", file).out

    command = [sys.executable, "-m", "orchestrator", "confirm", str(file), "--top", "1", "--seeds", "4"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 600
    while not any(run.info.status == "FINISHED" for run in cell_runs(storage, "small-confirm")):
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130, output
    assert "of 8 cells done; the same command goes on" in output
    begun = Confirmation.load(Storage(storage).confirmation("small"))

    finished = zetasweep("confirm", file, timeout_s=600)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert Confirmation.load(Storage(storage).confirmation("small")) == begun
    said = finished.stdout
    above = "confirmed on seeds that were never used for choosing: 1000000 to 1000003"
    assert said.index("[8/8 cells") < said.index(above) < said.index("test/error in %")
    assert said[said.index(above) :].count("n=4") == 2

    runs = cell_runs(storage, "small-confirm")
    assert sorted(int(run.data.params["seed"]) for run in runs) == sorted([*range(1_000_000, 1_000_004)] * 2)
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    for run in runs:
        assert run.info.status == "FINISHED"
        steps = [row.step for row in client.get_metric_history(run.info.run_id, "epoch")]
        assert sorted(steps) == list(range(1, EPOCHS + 1))
    assert cell_runs(storage, "small") == []
    assert call("compare", file).out == table
    again = call("confirm", file)
    assert (again.code, "nothing is missing: all 8 cells are done" in again.out) == (0, True)
