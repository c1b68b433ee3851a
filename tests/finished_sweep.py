"""A sweep in which cells are finished without being trained: what commands and Python read of one."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric

from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.storage import Predictions, Storage
from orchestrator.tracking.names import KEY, KIND

EXPERIMENT = """
name: finished
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
seed: [0, 1, 2]
train: {epochs: 1}
"""
NUM_IMAGES = 100


class FinishedSweep:
    """An experiment file with its storage, in which cells are finished without being trained."""

    def __init__(self, folder: Path, new_store: Path) -> None:
        self.file = folder / "finished.yaml"
        self.file.write_text(EXPERIMENT)
        self.storage = Storage(folder / "runs")
        self.storage.root.mkdir()
        copyfile(new_store, self.storage.database)
        self.client = MlflowClient(f"sqlite:///{self.storage.database}")
        self.home = self.client.create_experiment("finished", self.storage.artifacts_dir.as_uri())

    def finish(self, *overrides: str, predictions: str = "in storage") -> list[Cell]:
        """Finish the cells that are not."""
        cells = expand(load_experiment(self.file, [f"storage={self.storage.root}", *overrides]))
        known = {run.data.tags[KEY] for run in self.client.search_runs([self.home])}
        for cell in cells:
            if cell.key not in known:
                self._finish(cell, predictions)
        return cells

    def _finish(self, cell: Cell, predictions: str) -> None:
        run_id = self.client.create_run(self.home, tags={KIND: "cell", KEY: cell.key}).info.run_id
        num_wrong = (20 if cell.augment.name == "erm" else 8) + cell.seed % 3
        self.client.log_batch(run_id, metrics=[Metric("test/error", num_wrong / NUM_IMAGES, 0, 0)])
        path = self.storage.cell(cell.key).predictions
        if predictions != "nowhere":
            _predictions(num_wrong).save(path)
        if predictions == "in MLflow":
            self.client.log_artifact(run_id, str(path), "test")
            path.unlink()
        self.client.set_terminated(run_id)


def _predictions(num_wrong: int) -> Predictions:
    values = np.zeros(NUM_IMAGES, dtype=np.float32)
    predicted = (np.arange(NUM_IMAGES) < num_wrong).astype(np.uint8)
    return Predictions(np.zeros(NUM_IMAGES, dtype=np.uint8), predicted, values, values, order="a")
