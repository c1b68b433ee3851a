"""MLflow's runs of the cells: one for each, a child of the sweep's run, found again by the cell's key.

Every write can be repeated: a driver that died in the middle, or got no answer, writes again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, LoggedModel, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from orchestrator.amounts import counted, some
from orchestrator.errors import TrackingError, first_line
from orchestrator.experiment import Cell, Experiment
from orchestrator.records import CellFacts, CellResult, CellRun, CellStatus, EpochResult
from orchestrator.storage import CellFolder
from orchestrator.tracking.errors import UntellableError, has_no_room, message_of
from orchestrator.tracking.links import Links
from orchestrator.tracking.logged_model import saved_model, send_model
from orchestrator.tracking.names import (
    BACKEND,
    BELOW_GAMMA_MIN,
    DATASET_NAME,
    DEVICE,
    FEED,
    FIRST_STEP_MS,
    GROUPS,
    KEY,
    KIND,
    MODEL_URI,
    OWNER,
    REASON,
    SPLIT_HASH,
    SWEEP,
    UNMEASURED,
    UNREADABLE,
    WORLD_SIZE,
)
from orchestrator.tracking.ownership import described
from orchestrator.tracking.predictions import log_predictions
from orchestrator.tracking.provenance import environment, git_tags
from orchestrator.tracking.rows import Rows
from orchestrator.tracking.store import Store
from orchestrator.tracking.sweep_run import SweepRun
from orchestrator.train import read_figures


class Tracker:
    """The runs of the cells in one MLflow store; they are written once `sweep` is open.

    Args:
        uri: Tracking URI; a SQLite file in it must be absolute.
        artifacts: Where new experiments keep their artifacts: a folder, or what ``tracking.artifacts`` says; None
            leaves it to the server.
        origin: What the user gave `uri` in.

    Attributes:
        store: They are in it.
        sweep: The run that new ones are children of.

    Raises:
        UserError: Nobody answers at `uri`, within 30 s.
    """

    def __init__(self, uri: str, *, artifacts: Path | str | None = None, origin: str = "tracking.uri") -> None:
        self.store = Store(uri, origin=origin)
        self.sweep = SweepRun(self.store, artifacts=artifacts)
        self._client = self.store.client
        self._run_ids: dict[str, str] = {}
        self._rows: dict[str, Rows] = {}
        self._models: dict[str, LoggedModel] = {}
        # After how many silences of this sweep a cell's run was last known to be its own.
        self._confirmed: dict[str, int] = {}

    def cell_runs(self, cells: Sequence[Cell]) -> dict[str, CellRun]:
        """Return the tracked run of each cell that has one, by key, whichever sweep ran it.

        A run that is open although its sweep is not at work any more was interrupted.
        """
        wanted = {cell.key: cell.train.epochs for cell in cells}
        found: dict[str, CellRun] = {}
        with self.store.answering():
            alive, experiments = self.store.drivers.seemingly_at_work(), self.store.experiments()
            for run in self.store.search(f"tags.`{KIND}` = 'cell'", list(experiments)):
                key = run.data.tags.get(KEY, "")
                if key in wanted and (key not in found or run.info.status == "FINISHED"):
                    found[key] = _cell_run(run, key, epochs=wanted[key], alive=alive, experiments=experiments)
        return found

    def lacks_links(self, experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> bool:
        """Return whether `link` has something to do."""
        with self.store.answering():
            return self._links(experiment, cells, runs).is_needed()

    def link(self, experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> int:
        """Link the sweep's MLflow experiment to the finished runs that lie in another one; the sweep is open.

        Args:
            experiment: The sweep.
            cells: All of its cells.
            runs: Their runs as they are now, by key.

        Returns:
            How many links were made.

        Raises:
            TrackingError: Another process has taken the sweep over, or MLflow does not answer.
        """
        with self.store.answering():
            return self._links(experiment, cells, runs).make(experiment.name, self.sweep)

    def _links(self, experiment: Experiment, cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> Links:
        return Links(self.store, home=experiment.tracked_in, keys=[cell.key for cell in cells], runs=runs)

    def open_cell(self, cell: Cell, known: CellRun | None, *, sweep: str, timestamp_ms: int | None = None) -> None:
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
        run = (
            self._client.get_run(known.run_id)
            if known is not None and known.run_id
            else next(self._runs_of(cell), None)
        )
        # What differs most comes first: MLflow's lists cut names.
        name = f"{cell.augment.label} {cell.replicate.label} {cell.dataset.label} {cell.model}"
        if run is not None:
            self._refuse_taken_run(run)
        if run is None:
            tags = {
                KIND: "cell",
                KEY: cell.key,
                SWEEP: sweep,
                OWNER: self.sweep.owner,
                MLFLOW_PARENT_RUN_ID: self.sweep.run_id,
                MLFLOW_RUN_NAME: name,
            } | git_tags()
            run_id = self._client.create_run(self.sweep.experiment_id, start_time=timestamp_ms, tags=tags).info.run_id
            rows = Rows(self._client, run_id)
        else:
            run_id = run.info.run_id
            self._client.update_run(run_id, status="RUNNING", name=name)
            rows = Rows(self._client, run_id)
            rows.read()
        self._run_ids[cell.key], self._rows[cell.key] = run_id, rows
        self._confirmed[cell.key] = self.sweep.num_silences
        # Also for a run that is known: its driver may have died right after making it.
        params = [Param(name, value) for name, value in cell.params().items()]
        marks = [RunTag(REASON, ""), RunTag(OWNER, self.sweep.owner), RunTag(DATASET_NAME, cell.dataset.label)]
        if cell.augment.is_below_gamma_min is not None:
            marks.append(RunTag(BELOW_GAMMA_MIN, str(cell.augment.is_below_gamma_min).lower()))
        self._client.log_batch(run_id, params=params, tags=marks)
        self._client.log_text(run_id, cell.model_dump_json(indent=2), "cell.json")
        self._client.log_dict(run_id, environment(), "environment.json")

    def discard_cell(self, cell: Cell) -> None:
        """Delete the cell's run; MLflow can restore it."""
        self._client.delete_run(self._own_run(cell))

    def log_started(self, cell: Cell, facts: CellFacts, *, data_dir: Path) -> None:
        """Log what the cell runs on and with which data."""
        run_id, data = self._own_run(cell), facts.dataset
        tags = {
            DEVICE: facts.device,
            WORLD_SIZE: str(facts.world_size),
            BACKEND: facts.backend,
            FEED: facts.feed,
            SPLIT_HASH: data.split_hash,
        }
        if data.groups is not None:
            tags[GROUPS] = data.groups
        if data.unreadable:
            tags[UNREADABLE] = f"{counted(len(data.unreadable), 'image')} left out: {some(data.unreadable)}"
        if data.unmeasured:
            tags[UNMEASURED] = data.unmeasured
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        inputs = [
            DatasetInput(
                DatasetEntity(
                    # MLflow takes two inputs of a run with the same name and digest for one.
                    name=f"{data.name}-{split}",
                    digest=data.split_hash[:32],
                    source_type="local",
                    source=json.dumps({"uri": data_dir.as_uri()}),
                    profile=json.dumps({"num_samples": num_samples, "num_classes": len(data.class_names)}),
                ),
                tags=[InputTag(MLFLOW_DATASET_CONTEXT, split)],
            )
            for split, num_samples in (("train", data.num_train), ("val", data.num_val), ("test", data.num_test))
        ]
        self._client.log_inputs(run_id, inputs)

    def log_audit(self, cell: Cell, folder: Path, *, timestamp_ms: int) -> None:
        """Log the audit in `folder`: its figures as metrics, and all of it as artifacts; nothing if there is none."""
        figures = read_figures(folder)
        if figures is None:
            return
        names = ("effective_num_samples", "soft_label_entropy", "ms_per_step")
        metrics = {f"audit/{name}": float(getattr(figures, name)) for name in names}
        self._own_rows(cell).log_once(metrics, timestamp_ms=timestamp_ms)
        self._client.log_artifacts(self._own_run(cell), str(folder), "audit")

    def log_epoch(self, cell: Cell, result: EpochResult) -> None:
        """Log one epoch in one request; nothing if MLflow has it already.

        Raises:
            SupersededError: MLflow has other numbers of this epoch: its checkpoint was lost, and it was trained again.
        """
        self._own_rows(cell).log_epoch(result)

    def finish_cell(self, cell: Cell, result: CellResult, facts: CellFacts, *, checkpoint_dir: Path) -> None:
        """Log the test metrics, their tables, the predictions and the best model, and end the run.

        Raises:
            UntellableError: There is no such model in `checkpoint_dir`; says why.
        """
        run_id, rows = self._own_run(cell), self._own_rows(cell)
        rows.log_once(result.metrics, timestamp_ms=result.timestamp_ms)
        if result.first_step_ms is not None:
            self._client.set_tag(run_id, FIRST_STEP_MS, str(result.first_step_ms))
        folder = CellFolder(checkpoint_dir)
        if folder.test.is_dir():  # earlier versions had none
            self._client.log_artifacts(run_id, str(folder.test), folder.test.name)
        if folder.predictions.exists():  # likewise
            log_predictions(self._client, run_id, folder.predictions)
        with saved_model(cell.model, facts.dataset, folder) as path:
            model = self._log_model(cell, run_id, path)
        rows.log_of_model(result.metrics, model_id=model.model_id)
        # Before the run ends: a finished run has its model.
        self._client.set_tag(run_id, MODEL_URI, model.model_uri)
        self._client.set_terminated(run_id, "FINISHED", end_time=result.timestamp_ms)
        others = self.store.drivers.not_known_dead() - {self.sweep.owner}
        for twin in self._runs_of(cell):
            # Made by a request that was taken for lost, and answered later.
            if twin.info.run_id != run_id and twin.data.tags.get(OWNER) not in others:
                self._client.delete_run(twin.info.run_id)

    def _log_model(self, cell: Cell, run_id: str, path: Path) -> LoggedModel:
        """Log the model in `path` to the cell's run, once, however often that is tried."""
        run = self._client.get_run(run_id)
        if run_id not in self._models:
            self._models[run_id] = self._client.create_logged_model(
                run.info.experiment_id, path.name, source_run_id=run_id, params=cell.params()
            )
        self._models[run_id] = send_model(self._client, self._models[run_id], path, run=run)
        return self._models[run_id]

    def fail_cell(self, cell: Cell, reason: str) -> None:
        """End the run as failed, with its reason: the first line as a tag, the whole as an artifact."""
        run_id = self._own_run(cell)
        self._client.set_tag(run_id, REASON, first_line(reason, at_most=5000))
        self._client.log_text(run_id, reason, "failure.txt")
        self._client.set_terminated(run_id, "FAILED")

    def give_up_cell(self, cell: Cell, problem: Exception) -> None:
        """End the run of a cell whose results are not in MLflow, with the reason: the next sweep tries again.

        It is failed where MLflow has no part in it. One that is finished, or another sweep's, stays as it is.
        """
        if cell.key not in self._run_ids or isinstance(problem, TrackingError):
            return
        run_id = self._own_run(cell)
        if self._client.get_run(run_id).info.status == "FINISHED":
            return
        if isinstance(problem, UntellableError):
            self.fail_cell(cell, problem.in_full)
        else:
            what = "there is no room for its results" if has_no_room(problem) else "MLflow does not take its results"
            self._client.set_tag(run_id, REASON, f"{what}: {message_of(problem)}")
            self._client.set_terminated(run_id, "KILLED")

    def interrupt_cell(self, cell: Cell) -> None:
        """End the run as killed; the next sweep goes on with it."""
        if cell.key in self._run_ids:
            self._client.set_terminated(self._own_run(cell), "KILLED")

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

    def _own_rows(self, cell: Cell) -> Rows:
        """Return the rows of the cell's run; raise TrackingError as `_own_run` does."""
        self._own_run(cell)
        return self._rows[cell.key]

    def _refuse_taken_run(self, run: Run) -> None:
        """Raise TrackingError if this sweep may not write to a cell's run: never two do."""
        owner = run.data.tags.get(OWNER, "")
        if run.info.status == "FINISHED":
            raise TrackingError(f"another sweep has finished it meanwhile: run {run.info.run_id}")
        others = self.store.drivers.not_known_dead() - {self.sweep.owner}
        if run.info.status == "RUNNING" and owner in others:
            raise TrackingError(f"another sweep trains it, too: {described(owner)}, run {run.info.run_id}")


def _cell_run(run: Run, key: str, *, epochs: int, alive: set[str], experiments: Mapping[str, str]) -> CellRun:
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
        experiment=experiments.get(run.info.experiment_id),
    )
