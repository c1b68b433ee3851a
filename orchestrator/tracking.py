"""MLflow: one parent run per sweep, one child run per cell, found again by the cell's key. The only module that
imports it.

Every write can be repeated: a metric row is (run, name, timestamp, step, value), and the timestamps come from the
checkpoint.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, LifecycleStage, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
)
from torch import nn

from orchestrator import audit, checkpoint
from orchestrator.errors import TrackingError, UserError
from orchestrator.models import build_model
from orchestrator.provenance import environment, git_tags
from orchestrator.records import CellRun, CellStatus, EpochResult

if TYPE_CHECKING:
    from orchestrator.cells import Cell
    from orchestrator.config import Experiment
    from orchestrator.train import CellResult

logger = logging.getLogger(__name__)

KIND, KEY, SWEEP, REASON, MODEL_URI, SPLIT_HASH, BELOW_GAMMA_MIN = (
    f"zetasweep.{name}" for name in ("kind", "cell", "sweep", "reason", "model_uri", "split_hash", "below_gamma_min")
)
# MLflow's defaults (7 retries of 120 s) would block for minutes when a server does not answer.
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
PAGE_SIZE = 1000
# What `log_batch` takes at once: a data set of 1,000 classes has more metrics.
BATCH_LIMIT = 1000
# Without it MLflow's UI guesses, and opens the experiment as one of a language model.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class Tracker:
    """The runs of one MLflow store.

    Args:
        uri: Tracking URI; a SQLite file in it must be absolute.
        artifacts: Where a new experiment keeps its artifacts; None leaves it to the server.

    Raises:
        UserError: Nobody answers at `uri`, within 30 s.
    """

    def __init__(self, uri: str, *, artifacts: Path | None = None) -> None:
        for name, value in HTTP_LIMITS.items():
            os.environ.setdefault(name, value)
        self._shown_uri, self._artifacts = without_password(uri), artifacts
        _check_sqlite(uri)
        mlflow.set_tracking_uri(uri)
        try:
            self._client = MlflowClient(uri)
            # This makes or migrates the tables of a SQLite store, once: two writers at a time would fail in it.
            self._client.search_experiments(max_results=1)
        except Exception as error:
            raise UserError(
                f"tracking.uri = {self._shown_uri}: MLflow does not answer "
                f"({_first_line(error).replace(uri, self._shown_uri)})\n"
                "  remedy:  start the server, mend the address, or leave tracking.uri out: SQLite in storage"
            ) from error
        self._run_ids: dict[str, str] = {}
        self._parent_id: str | None = None
        self._experiment_id: str | None = None

    def cell_runs(self, cells: Sequence[Cell], *, active: bool) -> dict[str, CellRun]:
        """Return the tracked run of each cell that has one, by key, whichever sweep ran it.

        Args:
            cells: The cells asked for.
            active: Whether a sweep is at work on this store: if not, a run that is still open was interrupted.
        """
        wanted = {cell.key: cell.train.epochs for cell in cells}
        found: dict[str, CellRun] = {}
        with self._answering():
            for run in self._search(f"tags.`{KIND}` = 'cell'"):
                key = run.data.tags.get(KEY, "")
                if key in wanted and (key not in found or run.info.status == "FINISHED"):
                    found[key] = _cell_run(run, key, epochs=wanted[key], active=active)
        return found

    def open_sweep(self, experiment: Experiment) -> None:
        """Open the sweep's parent run, the one of an earlier call if there is one.

        Raises:
            UserError: The MLflow experiment was deleted.
        """
        with self._answering():
            name = experiment.tracking.experiment or experiment.name
            known = self._client.get_experiment_by_name(name)
            if known is None:
                location = (self._artifacts / experiment.name).as_uri() if self._artifacts else None
                experiment_id = self._client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
            elif known.lifecycle_stage == LifecycleStage.DELETED:
                raise UserError(
                    f"tracking.experiment = {name}: it was deleted in MLflow\n  remedy:  restore it (mlflow "
                    f"experiments restore -x {known.experiment_id}) or name another with -o tracking.experiment=NAME"
                )
            else:
                experiment_id = known.experiment_id
            self._experiment_id = experiment_id
            parent = self._parent(experiment)
            if parent is None:
                tags = {KIND: "sweep", SWEEP: experiment.name, MLFLOW_RUN_NAME: experiment.name} | git_tags()
                parent = self._client.create_run(experiment_id, tags=tags)
            self._parent_id = parent.info.run_id
            self._client.update_run(self._parent_id, status="RUNNING")
            text = experiment.model_dump_json(indent=2, exclude={"tracking": {"uri"}})
            self._client.log_text(self._parent_id, text, "experiment.json")
            self._client.log_dict(self._parent_id, environment(), "environment.json")

    def close_sweep(self, *, complete: bool) -> None:
        """End the parent run; a store that does not answer is only logged, since what matters was said before."""
        assert self._parent_id is not None, "open_sweep comes first"
        try:
            self._client.set_terminated(self._parent_id, "FINISHED" if complete else "KILLED")
        except MlflowException:
            logger.exception("the sweep's run could not be closed")

    def mend_sweep(self, experiment: Experiment) -> None:
        """Finish the parent run of a sweep whose cells are all done, if its driver died before it could."""
        with self._answering():
            known = self._client.get_experiment_by_name(experiment.tracking.experiment or experiment.name)
            if known is None or known.lifecycle_stage == LifecycleStage.DELETED:
                return
            self._experiment_id = known.experiment_id
            parent = self._parent(experiment)
            if parent is not None and parent.info.status != "FINISHED":
                self._client.set_terminated(parent.info.run_id, "FINISHED")

    def start_cell(self, cell: Cell, known: CellRun | None, *, sweep: str) -> None:
        """Open the cell's run: the one it already has, or a new child of the sweep's."""
        assert self._experiment_id is not None, "open_sweep comes first"
        if known is None:
            tags = {
                KIND: "cell",
                KEY: cell.key,
                SWEEP: sweep,
                MLFLOW_PARENT_RUN_ID: self._parent_id,
                # What differs most comes first: MLflow's lists cut names.
                MLFLOW_RUN_NAME: f"{cell.augment.label} seed={cell.seed} {cell.dataset.label} {cell.model}",
            } | git_tags()
            run_id = self._client.create_run(self._experiment_id, tags=tags).info.run_id
        else:
            run_id = known.run_id
            self._client.update_run(run_id, status="RUNNING")
        self._run_ids[cell.key] = run_id
        # Also for a run that is known: its driver may have died right after making it.
        params = [Param(name, value) for name, value in cell.params().items()]
        marks = [RunTag(REASON, "")]
        if cell.augment.is_below_gamma_min is not None:
            marks.append(RunTag(BELOW_GAMMA_MIN, str(cell.augment.is_below_gamma_min).lower()))
        self._client.log_batch(run_id, params=params, tags=marks)
        self._client.log_text(run_id, cell.model_dump_json(indent=2), "cell.json")
        self._client.log_dict(run_id, environment(), "environment.json")

    def log_facts(self, cell: Cell, facts: dict[str, Any], *, data_dir: Path) -> None:
        """Log what the cell runs on and with which data."""
        run_id, data = self._run_ids[cell.key], facts["dataset"]
        tags = {name: str(facts[name]) for name in ("device", "world_size", "backend", "feed")}
        tags["split_hash"] = data["split_hash"]
        self._client.log_batch(run_id, tags=[RunTag(f"zetasweep.{name}", value) for name, value in tags.items()])
        inputs = [
            DatasetInput(
                DatasetEntity(
                    # MLflow takes two inputs of a run with the same name and digest for one.
                    name=f"{data['name']}-{split}",
                    digest=data["split_hash"][:32],
                    source_type="local",
                    source=json.dumps({"uri": data_dir.as_uri()}),
                    profile=json.dumps({"num_samples": data[f"num_{split}"], "num_classes": len(data["class_names"])}),
                ),
                tags=[InputTag(MLFLOW_DATASET_CONTEXT, split)],
            )
            for split in ("train", "val", "test")
        ]
        self._client.log_inputs(run_id, inputs)

    def log_audit(self, cell: Cell, folder: Path, *, timestamp_ms: int) -> None:
        """Log the audit in `folder`: its figures as metrics, and all of it as artifacts; nothing if there is none."""
        figures = audit.read_figures(folder)
        if figures is None:
            return
        names = ("effective_num_samples", "soft_label_entropy", "ms_per_step")
        metrics = {f"audit/{name}": float(getattr(figures, name)) for name in names}
        self._log_metrics(cell, metrics, step=0, timestamp_ms=timestamp_ms)
        self._client.log_artifacts(self._run_ids[cell.key], str(folder), audit.FOLDER)

    def log_epoch(self, cell: Cell, result: EpochResult) -> None:
        """Log one epoch in one request."""
        metrics = result.metrics | {"epoch": float(result.epoch)}
        self._log_metrics(cell, metrics, step=result.epoch, timestamp_ms=result.timestamp_ms)

    def finish_cell(self, cell: Cell, result: CellResult, facts: dict[str, Any], *, checkpoint_dir: Path) -> None:
        """Log the test metrics and the best model, and end the run."""
        run_id = self._run_ids[cell.key]
        # At step 0, so that MLflow draws them as bars, one per run, and not as curves of one point.
        self._log_metrics(cell, result.metrics, step=0, timestamp_ms=result.timestamp_ms)
        if result.first_step_ms is not None:
            self._client.set_tag(run_id, "zetasweep.first_step_ms", str(result.first_step_ms))
        self._log_model(cell, facts["dataset"], run_id=run_id, checkpoint_dir=checkpoint_dir)
        self._client.set_terminated(run_id, "FINISHED", end_time=result.timestamp_ms)

    def fail_cell(self, cell: Cell, reason: str) -> None:
        """End the run as failed, with its reason: the first line as a tag, the whole as an artifact."""
        run_id = self._run_ids[cell.key]
        self._client.set_tag(run_id, REASON, reason.splitlines()[0][:5000])
        self._client.log_text(run_id, reason, "failure.txt")
        self._client.set_terminated(run_id, "FAILED")

    def interrupt_cell(self, cell: Cell) -> None:
        """End the run as killed; the next sweep goes on with it."""
        if cell.key in self._run_ids:
            self._client.set_terminated(self._run_ids[cell.key], "KILLED")

    def register(self, model_uri: str, name: str) -> str:
        """Register a logged model as the newest version of `name`, with the alias ``best``; return the version."""
        try:
            # It prints its success, also where nobody asked; the caller says it in one line.
            with redirect_stderr(io.StringIO()):
                model_version = mlflow.register_model(model_uri, name, await_registration_for=0)
            self._client.set_registered_model_alias(name, "best", model_version.version)
        except MlflowException as error:
            raise UserError(
                f"--register {name}: MLflow refuses it ({_first_line(error)})\n  remedy:  use another name"
            ) from error
        return str(model_version.version)

    def _parent(self, experiment: Experiment) -> Run | None:
        assert self._experiment_id is not None
        query = f"tags.`{KIND}` = 'sweep' and tags.`{SWEEP}` = '{experiment.name}'"
        return next(self._search(query, experiment_ids=[self._experiment_id]), None)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            raise TrackingError(f"MLflow at {self._shown_uri}: {_first_line(error)}") from error

    def _log_metrics(self, cell: Cell, metrics: dict[str, float], *, step: int, timestamp_ms: int) -> None:
        entities = [Metric(name, value, timestamp_ms, step) for name, value in metrics.items()]
        for first in range(0, len(entities), BATCH_LIMIT):
            self._client.log_batch(self._run_ids[cell.key], metrics=entities[first : first + BATCH_LIMIT])

    def _log_model(self, cell: Cell, data: dict[str, Any], *, run_id: str, checkpoint_dir: Path) -> None:
        """Log the best weights as a graph that takes pixels in [0, 1] and needs none of this project's code."""
        # It takes seconds to import, which the commands that only read would pay, too.
        from torchvision.transforms import v2

        network = build_model(
            cell.model,
            num_classes=len(data["class_names"]),
            num_channels=data["num_channels"],
            image_size=data["image_size"],
        )
        state = checkpoint.load(checkpoint_dir / checkpoint.BEST)
        assert state is not None, "a finished cell has best weights"
        network.load_state_dict(state["model"])
        model = nn.Sequential(v2.Normalize(data["mean"], data["std"]), network).eval()
        metadata = {"class_names": data["class_names"], "input": "pixels in [0, 1]", "output": "logits"}
        options = _model_options(model, num_channels=data["num_channels"], image_size=data["image_size"])
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pytorch.log_model(model, name="model", metadata=metadata, **options)
            # Inside: leaving the block ends the run, and a finished run has its model.
            self._client.set_tag(run_id, MODEL_URI, info.model_uri)

    def _search(self, query: str, *, experiment_ids: list[str] | None = None) -> Iterator[Run]:
        if experiment_ids is None:
            experiment_ids = [entry.experiment_id for entry in self._client.search_experiments()]
        token = None
        while True:
            page = self._client.search_runs(
                experiment_ids, query, ViewType.ACTIVE_ONLY, max_results=PAGE_SIZE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


def warm_up() -> None:
    """Save a tiny model to nowhere: the first one costs eight seconds of imports, every other less than one."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.Flatten()).eval()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pytorch.save_model(model, f"{folder}/model", **_model_options(model, num_channels=1, image_size=8))


def _model_options(model: nn.Module, *, num_channels: int, image_size: int) -> dict[str, Any]:
    """Return how MLflow is to keep `model`: as a graph, with its signature and an example."""
    example = np.zeros((2, num_channels, image_size, image_size), dtype=np.float32)
    with torch.inference_mode():
        signature = infer_signature(example, model(torch.from_numpy(example)).numpy())
    return {
        "signature": signature,
        "input_example": example,
        "pip_requirements": [f"torch=={version('torch')}", f"torchvision=={version('torchvision')}"],
        "serialization_format": "pt2",
    }


def _cell_run(run: Run, key: str, *, epochs: int, active: bool) -> CellRun:
    statuses: dict[str, CellStatus] = {"FINISHED": "done", "FAILED": "failed", "KILLED": "interrupted"}
    status = statuses.get(run.info.status, "running" if active else "interrupted")
    tags = run.data.tags
    return CellRun(
        key=key,
        status=status,
        run_id=run.info.run_id,
        metrics=dict(run.data.metrics),
        epoch=int(run.data.metrics["epoch"]) if "epoch" in run.data.metrics else None,
        epochs=epochs,
        reason=tags.get(REASON) or None,
        model_uri=tags.get(MODEL_URI),
        split_hash=tags.get(SPLIT_HASH),
    )


def without_password(uri: str) -> str:
    """Return `uri` as it may be shown: ``scheme://***@host/path``."""
    return re.sub(r"//[^/@]*@", "//***@", uri)


def _check_sqlite(uri: str) -> None:
    """Refuse a SQLite file that cannot be opened at once: MLflow would try for minutes, or make a folder for it."""
    if not uri.startswith("sqlite:////"):
        return
    path = Path(uri.removeprefix("sqlite:///"))
    try:
        if not path.parent.is_dir():
            raise sqlite3.OperationalError(f"{path.parent} is no folder")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma schema_version")
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"{path}: not a SQLite database that can be opened ({error})\n"
            "  remedy:  mend or move it, or name another with -o storage=FOLDER or -o tracking.uri=URI"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
