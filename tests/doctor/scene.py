"""An experiment with all that a doctor looks at."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import torch
from commands import Answer, Call
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.folder import Storage
from orchestrator.tracking.names import MODEL_URI

MINE = """
name: mine
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
train: {epochs: 2, batch_size_per_worker: 32}
"""
STRANGER = "0123456789abcdef"
A_WEEK_S = 7 * 24 * 3600


class Scene:
    """An experiment with its folder of results and MLflow store, and the doctor who is called to it."""

    def __init__(self, folder: Path, call: Call, new_store: Path) -> None:
        self.file = folder / "mine.yaml"
        self.file.write_text(MINE)
        self.storage = Storage(folder / "runs")
        self.storage.prepare()
        self.cells: list[Cell] = expand(load_experiment(self.file, ()))
        self._call, self._new_store = call, new_store

    @property
    def client(self) -> MlflowClient:
        if not self.storage.database.exists():
            shutil.copyfile(self._new_store, self.storage.database)
        return MlflowClient(f"sqlite:///{self.storage.database}")

    def doctor(self, *options: str) -> Answer:
        answer = self._call("doctor", self.file, *options)
        assert "Traceback" not in answer.out + answer.err
        return answer

    def add_run(self, key: str, *, status: str = "FINISHED", epochs: tuple[int, ...] = (1, 2), **tags: str) -> str:
        """Make the run of a cell as a sweep does, of two planned epochs, and return its ID."""
        known = self.client.get_experiment_by_name("mine")
        experiment_id = known.experiment_id if known else self.client.create_experiment("mine")
        kind = {"zetasweep.kind": "cell", "zetasweep.cell": key, "mlflow.runName": f"run of {key}", "setting": "any"}
        run_id = self.client.create_run(experiment_id, tags={**kind, **tags}).info.run_id
        rows = [Metric("epoch", float(epoch), 1_000 + row, epoch) for row, epoch in enumerate(epochs)]
        self.storage.note_store(f"sqlite:///{self.storage.database}")
        self.client.log_batch(run_id, metrics=rows, params=[Param("train.epochs", "2")])
        if status == "FINISHED":
            self._add_artifacts(experiment_id, run_id)
        if status != "RUNNING":
            self.client.set_terminated(run_id, status)
        return run_id

    def _add_artifacts(self, experiment_id: str, run_id: str) -> None:
        """What the run of a finished cell has beside metrics; no model that could be loaded."""
        self.client.log_text(run_id, "{}", "cell.json")
        model = self.client.create_logged_model(experiment_id, "model", source_run_id=run_id)
        with tempfile.TemporaryDirectory() as folder:
            for name in ("MLmodel", "data/model.pt2"):
                path = Path(folder) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text("made up")
            self.client.log_model_artifacts(model.model_id, folder)
        self.client.set_tag(run_id, MODEL_URI, model.model_uri)

    def add_file(self, key: str, name: str, *, age_s: float = A_WEEK_S) -> Path:
        """Write a checkpoint, and make it and its folder look old."""
        path = self.storage.cells_dir / key / name
        checkpoint.save(path, {"model": torch.arange(1000.0)})
        then = time.time() - age_s
        for changed in (path, path.parent):
            os.utime(changed, (then, then))
        return path

    def active(self) -> set[str]:
        found = self.client.search_runs([entry.experiment_id for entry in self.client.search_experiments()])
        return {run.info.run_id for run in found}

    def assert_mended(self, *said: str) -> Answer:
        """Look, mend and look again: found, mended, gone."""
        looked = self.doctor()
        assert looked.code == 1, looked.out + looked.err
        for text in said:
            assert text in looked.out
        assert "mended" not in looked.out
        mended = self.doctor("--fix")
        assert mended.code == 0, mended.out + mended.err
        assert ": mended" in mended.out
        self.assert_well()
        return mended

    def assert_well(self) -> None:
        answer = self.doctor()
        assert answer.code == 0, answer.out + answer.err
        assert answer.out.endswith("nothing is wrong\n")
