"""MLflow's runs of the cells: one for each, a child of the sweep's run, found again by the cell's key.

Every write can be repeated: a metric row is (run, name, timestamp, step, value), and the timestamps come from the
checkpoint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from orchestrator.errors import TrackingError, UserError
from orchestrator.experiment.cells import Cell
from orchestrator.records import CellResult, CellRun, CellStatus, EpochResult
from orchestrator.tracking.logged_model import log_model
from orchestrator.tracking.ownership import OWNER, described
from orchestrator.tracking.provenance import environment, git_tags
from orchestrator.tracking.store import Store, first_line
from orchestrator.tracking.sweep_run import KIND, SWEEP, SweepRun, alive_owners
from orchestrator.train import audit

KEY, REASON, MODEL_URI, SPLIT_HASH, BELOW_GAMMA_MIN = (
    f"zetasweep.{name}" for name in ("cell", "reason", "model_uri", "split_hash", "below_gamma_min")
)
# The metrics that a run has one value of.
ONCE = ("audit/", "test/", "best/")
# What `log_batch` takes at once: a data set of 1,000 classes has more metrics.
BATCH_LIMIT = 1000


class SupersededError(Exception):
    """An epoch that was trained again, with other numbers than those that MLflow has of it."""


@dataclass
class _Rows:
    """What MLflow has of a run.

    Attributes:
        timestamps_ms: Of each epoch.
        once: Metrics that are logged once, at step 0.
    """

    timestamps_ms: dict[int, int] = field(default_factory=dict)
    once: set[str] = field(default_factory=set)


class Tracker:
    """The runs of the cells in one MLflow store; they are written once `sweep` is open.

    Args:
        uri: Tracking URI; a SQLite file in it must be absolute.
        artifacts: Where a new experiment keeps its artifacts; None leaves it to the server.
        origin: What the user gave `uri` in.

    Attributes:
        store: They are in it.
        sweep: The run that new ones are children of.

    Raises:
        UserError: Nobody answers at `uri`, within 30 s.
    """

    def __init__(self, uri: str, *, artifacts: Path | None = None, origin: str = "tracking.uri") -> None:
        self.store = Store(uri, origin=origin)
        self.sweep = SweepRun(self.store, artifacts=artifacts)
        self._client = self.store.client
        self._run_ids: dict[str, str] = {}
        self._rows: dict[str, _Rows] = {}
        self._model_uris: dict[str, str] = {}
        # After how many silences of this sweep a cell's run was last known to be its own.
        self._confirmed: dict[str, int] = {}

    def cell_runs(self, cells: Sequence[Cell]) -> dict[str, CellRun]:
        """Return the tracked run of each cell that has one, by key, whichever sweep ran it.

        A run that is open although its sweep is not at work any more was interrupted.
        """
        wanted = {cell.key: cell.train.epochs for cell in cells}
        found: dict[str, CellRun] = {}
        with self.store.answering():
            alive = alive_owners(self.store)
            for run in self.store.search(f"tags.`{KIND}` = 'cell'"):
                key = run.data.tags.get(KEY, "")
                if key in wanted and (key not in found or run.info.status == "FINISHED"):
                    found[key] = _cell_run(run, key, epochs=wanted[key], alive=alive)
        return found

    def start_cell(self, cell: Cell, known: CellRun | None, *, sweep: str, timestamp_ms: int | None = None) -> None:
        """Open the cell's run: the one it already has, or a new child of the sweep's.

        Args:
            cell: The cell.
            known: Its run, as far as that is known.
            sweep: The sweep's name.
            timestamp_ms: When the cell was started, which may be long ago if MLflow did not answer; None for now.

        Raises:
            TrackingError: Another sweep works on the cell, or has finished it.
        """
        self.sweep.confirm()
        # Also if none is known: an earlier attempt may have made one although its answer got lost.
        run = self._client.get_run(known.run_id) if known is not None else next(self._runs_of(cell), None)
        if run is not None:
            self._refuse_taken_run(run)
        if run is None:
            tags = {
                KIND: "cell",
                KEY: cell.key,
                SWEEP: sweep,
                OWNER: self.sweep.owner,
                MLFLOW_PARENT_RUN_ID: self.sweep.run_id,
                # What differs most comes first: MLflow's lists cut names.
                MLFLOW_RUN_NAME: f"{cell.augment.label} seed={cell.seed} {cell.dataset.label} {cell.model}",
            } | git_tags()
            run_id = self._client.create_run(self.sweep.experiment_id, start_time=timestamp_ms, tags=tags).info.run_id
            self._rows[cell.key] = _Rows()
        else:
            run_id = run.info.run_id
            self._client.update_run(run_id, status="RUNNING")
            self._rows[cell.key] = self._rows_of(run_id)
        self._run_ids[cell.key], self._confirmed[cell.key] = run_id, self.sweep.num_silences
        # Also for a run that is known: its driver may have died right after making it.
        params = [Param(name, value) for name, value in cell.params().items()]
        marks = [RunTag(REASON, ""), RunTag(OWNER, self.sweep.owner)]
        if cell.augment.is_below_gamma_min is not None:
            marks.append(RunTag(BELOW_GAMMA_MIN, str(cell.augment.is_below_gamma_min).lower()))
        self._client.log_batch(run_id, params=params, tags=marks)
        self._client.log_text(run_id, cell.model_dump_json(indent=2), "cell.json")
        self._client.log_dict(run_id, environment(), "environment.json")

    def discard_cell(self, cell: Cell) -> None:
        """Delete the cell's run; MLflow can restore it."""
        self._client.delete_run(self._own_run(cell))

    def log_facts(self, cell: Cell, facts: dict[str, Any], *, data_dir: Path) -> None:
        """Log what the cell runs on and with which data."""
        run_id, data = self._own_run(cell), facts["dataset"]
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
        self._log_once(cell, metrics, timestamp_ms=timestamp_ms)
        self._client.log_artifacts(self._own_run(cell), str(folder), "audit")

    def log_epoch(self, cell: Cell, result: EpochResult) -> None:
        """Log one epoch in one request; nothing if MLflow has it already.

        Raises:
            SupersededError: MLflow has other numbers of this epoch: its checkpoint was lost, and it was trained again.
        """
        timestamps_ms = self._rows[cell.key].timestamps_ms
        if timestamps_ms.get(result.epoch, result.timestamp_ms) != result.timestamp_ms:
            if not self._has_numbers_of(cell, result):
                raise SupersededError
            return
        metrics = result.metrics | {"epoch": float(result.epoch)}
        self._log_metrics(cell, metrics, step=result.epoch, timestamp_ms=result.timestamp_ms)
        timestamps_ms[result.epoch] = result.timestamp_ms

    def finish_cell(self, cell: Cell, result: CellResult, facts: dict[str, Any], *, checkpoint_dir: Path) -> None:
        """Log the test metrics and the best model, and end the run."""
        run_id = self._own_run(cell)
        self._log_once(cell, result.metrics, timestamp_ms=result.timestamp_ms)
        if result.first_step_ms is not None:
            self._client.set_tag(run_id, "zetasweep.first_step_ms", str(result.first_step_ms))
        with mlflow.start_run(run_id=run_id):
            # Not again, if what came after it failed: each is a model of its own.
            if run_id not in self._model_uris:
                self._model_uris[run_id] = log_model(cell.model, facts["dataset"], checkpoint_dir=checkpoint_dir)
            # Inside: leaving the block ends the run, and a finished run has its model.
            self._client.set_tag(run_id, MODEL_URI, self._model_uris[run_id])
        self._client.set_terminated(run_id, "FINISHED", end_time=result.timestamp_ms)
        others = alive_owners(self.store) - {self.sweep.owner}
        for twin in self._runs_of(cell):
            # Made by a request that was taken for lost, and answered later.
            if twin.info.run_id != run_id and twin.data.tags.get(OWNER) not in others:
                self._client.delete_run(twin.info.run_id)

    def fail_cell(self, cell: Cell, reason: str) -> None:
        """End the run as failed, with its reason: the first line as a tag, the whole as an artifact."""
        run_id = self._own_run(cell)
        self._client.set_tag(run_id, REASON, reason.splitlines()[0][:5000])
        self._client.log_text(run_id, reason, "failure.txt")
        self._client.set_terminated(run_id, "FAILED")

    def interrupt_cell(self, cell: Cell) -> None:
        """End the run as killed; the next sweep goes on with it."""
        if cell.key in self._run_ids:
            self._client.set_terminated(self._own_run(cell), "KILLED")

    def register(self, model_uri: str, name: str) -> str:
        """Register a logged model as the newest version of `name`, with the alias ``best``; return the version."""
        try:
            # It prints its success, also where nobody asked; the caller says it in one line.
            with redirect_stderr(io.StringIO()):
                model_version = mlflow.register_model(model_uri, name, await_registration_for=0)
            self._client.set_registered_model_alias(name, "best", model_version.version)
        except MlflowException as error:
            raise UserError(
                f"--register {name}: MLflow refuses it ({first_line(error)})\n  remedy:  use another name"
            ) from error
        return str(model_version.version)

    def _runs_of(self, cell: Cell) -> Iterator[Run]:
        """Return the cell's runs in whichever experiment: two sweeps may have it in common."""
        return self.store.search(f"tags.`{KIND}` = 'cell' and tags.`{KEY}` = '{cell.key}'")

    def _own_run(self, cell: Cell) -> str:
        """Return the id of the cell's run.

        Raises:
            TrackingError: Another sweep has taken it, or this whole sweep, while MLflow was out of this one's reach.
        """
        self.sweep.confirm()
        run_id = self._run_ids[cell.key]
        if self._confirmed[cell.key] != self.sweep.num_silences:
            if self._client.get_run(run_id).data.tags.get(OWNER) != self.sweep.owner:
                raise TrackingError(f"another sweep took run {run_id} while MLflow was out of reach")
            self._confirmed[cell.key] = self.sweep.num_silences
        return run_id

    def _rows_of(self, run_id: str) -> _Rows:
        epochs = self._client.get_metric_history(run_id, "epoch")
        metrics = self._client.get_run(run_id).data.metrics
        once = {name for name in metrics if name.startswith(ONCE)}
        return _Rows({row.step: row.timestamp for row in epochs}, once)

    def _has_numbers_of(self, cell: Cell, result: EpochResult) -> bool:
        history = self._client.get_metric_history(self._own_run(cell), "train/loss")
        return any(row.step == result.epoch and row.value == result.metrics["train/loss"] for row in history)

    def _refuse_taken_run(self, run: Run) -> None:
        """Raise TrackingError if this sweep may not write to a cell's run: never two do."""
        owner = run.data.tags.get(OWNER, "")
        if run.info.status == "FINISHED":
            raise TrackingError(f"another sweep has finished it meanwhile: run {run.info.run_id}")
        if run.info.status == "RUNNING" and owner != self.sweep.owner and owner in alive_owners(self.store):
            raise TrackingError(f"another sweep trains it, too: {described(owner)}, run {run.info.run_id}")

    def _log_once(self, cell: Cell, metrics: dict[str, float], *, timestamp_ms: int) -> None:
        """Log what a cell has one value of, unless MLflow has one: at another time it would be a second row.

        At step 0, so that MLflow draws them as bars, one per run, and not as curves of one point.
        """
        once = self._rows[cell.key].once
        self._log_metrics(
            cell,
            {name: value for name, value in metrics.items() if name not in once},
            step=0,
            timestamp_ms=timestamp_ms,
        )
        once.update(metrics)

    def _log_metrics(self, cell: Cell, metrics: dict[str, float], *, step: int, timestamp_ms: int) -> None:
        run_id = self._own_run(cell)
        entities = [Metric(name, value, timestamp_ms, step) for name, value in metrics.items()]
        for first in range(0, len(entities), BATCH_LIMIT):
            self._client.log_batch(run_id, metrics=entities[first : first + BATCH_LIMIT])


def _cell_run(run: Run, key: str, *, epochs: int, alive: set[str]) -> CellRun:
    statuses: dict[str, CellStatus] = {"FINISHED": "done", "FAILED": "failed", "KILLED": "interrupted"}
    tags = run.data.tags
    owner = tags.get(OWNER)
    status = statuses.get(run.info.status, "running" if owner in alive else "interrupted")
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
        owner=owner,
    )
