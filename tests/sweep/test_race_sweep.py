"""A race on a real Ray cluster: what a simulation decides, bit for bit, through kills, on slots that stay warm."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
import torch
from commands import ROOT, until
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.data import load_dataset
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.metric_names import METRICS
from orchestrator.records import EpochResult
from orchestrator.search import ladder, standings
from orchestrator.storage import CellFolder
from orchestrator.train import train_cell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EPOCHS = 4
FILE = """
name: raced
dataset: {digits: {num_train: 300}}
model: convnet
augment: [erm, {mixup: {alpha: [0.3, 1.0]}}, {zeta_mixup: {gamma: 2.8, num_mixed: 4}}]
seed: [0, 1]
train: {epochs: 4, batch_size_per_worker: 32}
resources: {slots: 2}
tracking: {models: none}
search: {race: ladder, keep: [erm]}
"""
# The command, which notes each actor that has a trial.
COMMAND = """
import os, runpy, sys
from orchestrator.environment import prepare_program
prepare_program()
from orchestrator.sweep import listener
hear = listener.Listener.on_trial_result
def noting(self, iteration, trials, trial, result, **info):
    with open(os.environ["ACTORS"], "a") as file:
        print(trial.temporary_state.ray_actor._actor_id.hex(), file=file)
    return hear(self, iteration, trials, trial, result, **info)
listener.Listener.on_trial_result = noting
runpy.run_module("orchestrator", run_name="__main__")
"""


class Raced:
    """The sweep in a folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.file = folder, folder / "raced.yaml"
        self.file.write_text(FILE, encoding="utf-8")
        self.actors = folder / "actors"
        self._environment = {**environment, "PYTHONPATH": str(ROOT), "ACTORS": str(self.actors)}

    def start(self, *options: str) -> subprocess.Popen[str]:
        self.actors.write_text("")
        command = [sys.executable, "-c", COMMAND, "run", str(self.file), "-o", f"storage={self.folder}", *options]
        output = (self.folder / "output").open("w")
        return subprocess.Popen(command, env=self._environment, stdout=output, stderr=subprocess.STDOUT, text=True)

    def run(self, *options: str) -> str:
        """Run it and return what it says."""
        process = self.start(*options)
        process.wait(1200)
        said = (self.folder / "output").read_text()
        assert process.returncode == 0, said
        return said

    @property
    def num_actors(self) -> int:
        return len(set(self.actors.read_text().split()))

    def runs(self) -> dict[str, Run]:
        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        found = client.get_experiment_by_name("raced")
        assert found is not None
        runs = client.search_runs([found.experiment_id], "tags.`zetasweep.kind` = 'cell'")
        return {run.data.tags["zetasweep.cell"]: run for run in runs}

    def rows(self, run: Run) -> list[dict[str, float]]:
        """Return what MLflow has of each epoch of a run, each row once, without what is a matter of time."""
        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        names = [name for name in run.data.metrics if name.startswith(("train/", "val/"))]
        rows: dict[int, dict[str, float]] = {}
        for name in names:
            for row in client.get_metric_history(run.info.run_id, name):
                assert name not in rows.setdefault(row.step, {})
                rows[row.step][name] = row.value
        return [without_time(rows[step]) for step in sorted(rows)]


def without_time(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what MLflow has of each epoch, and is no matter of time."""
    kept = {
        name: value for name, value in metrics.items() if name not in ("train/images_per_s", "train/epoch_s", "epoch")
    }
    return {name: value for name, value in kept.items() if not name.startswith("val/") or _is_of_epochs(name)}


def _is_of_epochs(name: str) -> bool:
    return METRICS[name.removeprefix("val/")].each_epoch


def grid_of(cells: list[Cell], folder: Path) -> dict[str, list[EpochResult]]:
    """Return the epochs of all cells, trained to the end in this process."""
    dataset = load_dataset("digits", folder, num_train=300)
    found: dict[str, list[EpochResult]] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for cell in cells:
        history: list[EpochResult] = []
        place = CellFolder(folder / "grid" / cell.key).path
        train_cell(cell, dataset, checkpoint_dir=place, device=torch.device("cpu"), report=history.append)
        found[cell.key] = history
    torch.set_num_threads(threads)
    return found


def test_a_race_is_the_grid_as_far_as_it_trains(tmp_path: Path, environment: dict[str, str]) -> None:
    raced = Raced(tmp_path, environment)
    cells = expand(load_experiment(raced.file, [f"storage={tmp_path}"]))
    grid = grid_of(cells, tmp_path / "alone")
    until_epoch, stopped = _expected(cells, grid)

    # The driver is killed in the first rung.
    process = raced.start()
    until(lambda: process.poll() is not None or _num_paused(raced) >= 2, timeout_s=900)
    assert process.poll() is None, (tmp_path / "output").read_text()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    said = raced.run()
    assert raced.num_actors == 2, "no slot was made anew at a rung"
    runs = raced.runs()
    assert {key: len(raced.rows(run)) for key, run in runs.items()} == until_epoch
    for key, run in runs.items():
        assert raced.rows(run) == [without_time(each.metrics) for each in grid[key]][: until_epoch[key]], said
    assert {key for key, run in runs.items() if run.data.tags.get("zetasweep.race") == "stopped"} == stopped
    assert {run.info.status for key, run in runs.items() if key in stopped} == {"KILLED"}
    assert {run.info.status for key, run in runs.items() if key not in stopped} == {"FINISHED"}

    assert "nothing is missing: the search is over" in raced.run()
    assert raced.runs().keys() == until_epoch.keys()
    assert raced.num_actors == 0

    raced.run("-o", "search=null")
    runs = raced.runs()
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {key: raced.rows(run) for key, run in runs.items()} == {
        key: [without_time(each.metrics) for each in history] for key, history in grid.items()
    }
    assert not any(run.data.tags.get("zetasweep.race") for run in runs.values())


def _expected(cells: list[Cell], grid: Mapping[str, list[EpochResult]]) -> tuple[dict[str, int], set[str]]:
    """Return until which epoch each cell is trained, by its key, and which are stopped, as the curves say."""
    rungs, names = ladder(4, 2, EPOCHS), list(dict.fromkeys(cell.config_key for cell in cells))
    errors = {(cell.config_key, cell.seed): [each.metrics["val/error"] for each in grid[cell.key]] for cell in cells}
    losses = {(cell.config_key, cell.seed): [each.metrics["val/loss"] for each in grid[cell.key]] for cell in cells}
    erm = next(cell.config_key for cell in cells if cell.augment.name == "erm")
    race = standings(rungs, names, [0, 1], errors, keep=[erm], ties=losses)
    trained: dict[str, int] = {}
    for standing in race:
        for cell in cells:
            if cell.config_key in standing.entered and cell.seed in [0, 1][: standing.rung.seeds]:
                trained[cell.key] = standing.rung.epochs
    gone = {name for standing in race[:-1] for name in standing.stopped}
    return trained, {cell.key for cell in cells if cell.config_key in gone and cell.key in trained}


def _num_paused(raced: Raced) -> int:
    """Return how many legs MLflow has; it is not opened as a store, which the sweep may still be making."""
    try:
        with closing(sqlite3.connect(f"file:{raced.folder / 'mlflow.db'}?mode=ro", uri=True)) as database:
            (found,) = database.execute("select count(*) from tags where key = 'zetasweep.curve'").fetchone()
    except sqlite3.Error:
        return 0
    return int(found)
