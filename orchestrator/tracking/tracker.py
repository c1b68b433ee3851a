"""MLflow's runs of the cells: one for each, a child of the sweep's run, found again by the cell's key.

Every write can be repeated: a driver that died in the middle, or got no answer, writes again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from mlflow.entities import LifecycleStage, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from orchestrator.amounts import counted, some
from orchestrator.column_names import SETTING
from orchestrator.data import DataDir
from orchestrator.errors import TrackingError, first_line
from orchestrator.experiment import Cell, Experiment
from orchestrator.objects import Address, ObjectsError
from orchestrator.process_names import described
from orchestrator.racing import FinishedCell
from orchestrator.records import CellFacts, CellResult, CellRun, EpochResult, Paused, Stopped
from orchestrator.storage import CellFolder
from orchestrator.tracking.cell_runs import read_cell_runs, read_every_cell_run, read_finished, read_known_keys
from orchestrator.tracking.curves import curve_tag
from orchestrator.tracking.dataset_inputs import inputs_of
from orchestrator.tracking.errors import UntellableError, has_no_room, message_of
from orchestrator.tracking.exported import export_to
from orchestrator.tracking.links import Links
from orchestrator.tracking.names import (
    BACKEND,
    BELOW_GAMMA_MIN,
    CURVE,
    DATASET_NAME,
    DEVICE,
    FEED,
    FIRST_STEP_MS,
    GROUPS,
    HOST,
    KEY,
    KIND,
    LAYOUT,
    LOST,
    OWNER,
    PIXEL_HASH,
    RACE,
    RACE_CUT,
    RACE_MEAN,
    RACE_PLACE,
    RACE_RUNG,
    REASON,
    SPLIT_HASH,
    SWEEP,
    UNMEASURED,
    UNREADABLE,
    WEIGHTS,
    WORLD_SIZE,
)
from orchestrator.tracking.naming import run_name
from orchestrator.tracking.own_code import plugin_tags
from orchestrator.tracking.predictions import log_predictions
from orchestrator.tracking.provenance import environment, git_tags, product_tags
from orchestrator.tracking.rows import Rows, in_percent
from orchestrator.tracking.store import Store
from orchestrator.tracking.sweep_run import SweepRun
from orchestrator.tracking.tellable import keep_facts
from orchestrator.train import read_figures

OF_RACE = (RACE, RACE_RUNG, RACE_PLACE, RACE_MEAN, RACE_CUT)


class Tracker:
    """The runs of the cells in one MLflow store; they are written once `sweep` is open.

    Args:
        uri: Tracking URI; a SQLite file in it must be absolute.
        artifacts: Where new experiments keep their artifacts: a folder, or what ``tracking.artifacts`` says, or an
            address in storage; None leaves it to the server.
        origin: What the user gave `uri` in.

    Attributes:
        store: They are in it.
        sweep: The run that new ones are children of.

    Raises:
        UserError: Nobody answers at `uri`, within 30 s.
    """

    def __init__(
        self, uri: str, *, artifacts: Path | str | Address | None = None, origin: str = "tracking.uri"
    ) -> None:
        self.store = Store(uri, origin=origin)
        self.sweep = SweepRun(self.store, artifacts=artifacts)
        self._client = self.store.client
        self._run_ids: dict[str, str] = {}
        self._rows: dict[str, Rows] = {}
        self._epochs: dict[str, dict[int, EpochResult]] = {}
        # After how many silences of this sweep a cell's run was last known to be its own.
        self._confirmed: dict[str, int] = {}

    def cell_runs(self, cells: Sequence[Cell]) -> dict[str, CellRun]:
        """Return the tracked run of each cell that has one; see `read_cell_runs`."""
        return read_cell_runs(self.store, cells)

    def every_cell_run(self) -> dict[str, CellRun]:
        """Return the tracked runs of all cells, as `cell_runs` does: for a search, which is to find its cells."""
        return read_every_cell_run(self.store)

    def finished_cells(self) -> list[FinishedCell]:
        """Return all cells that were trained to the end; see `read_finished`."""
        return read_finished(self.store)

    def known_keys(self) -> frozenset[str]:
        """Return the keys of all cells that ever had a run; see `read_known_keys`."""
        return read_known_keys(self.store)

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
        run_id = known.run_id if known is not None and known.run_id else self._run_ids.get(cell.key)
        run = self._client.get_run(run_id) if run_id else None
        if run is None or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
            run = next(self._runs_of(cell), None)
        if run is not None:
            self._refuse_taken_run(run)
        if run is None:
            tags = {
                KIND: "cell",
                KEY: cell.key,
                SWEEP: sweep,
                OWNER: self.sweep.owner,
                MLFLOW_PARENT_RUN_ID: self.sweep.run_id,
                MLFLOW_RUN_NAME: run_name(cell),
            } | git_tags()
            run_id = self._client.create_run(self.sweep.experiment_id, start_time=timestamp_ms, tags=tags).info.run_id
            rows = Rows(self._client, run_id)
        else:
            run_id = run.info.run_id
            self._client.update_run(run_id, status="RUNNING", name=run_name(cell))
            rows = Rows(self._client, run_id)
            rows.read()
        self._run_ids[cell.key], self._rows[cell.key] = run_id, rows
        self._epochs[cell.key] = {}
        self._confirmed[cell.key] = self.sweep.num_silences
        # Also for a run that is known: its driver may have died right after making it.
        setting = _setting_of(run, cell)
        params = [Param(name, value) for name, value in {**cell.params(), SETTING: setting}.items()]
        marks = [RunTag(REASON, ""), RunTag(OWNER, self.sweep.owner), RunTag(DATASET_NAME, cell.dataset.label)]
        marks.append(RunTag(SETTING, setting))
        if run is not None:
            marks += [RunTag(name, "") for name in (*OF_RACE, LOST) if run.data.tags.get(name)]
        if (is_below := cell.is_below_gamma_min) is not None:
            marks.append(RunTag(BELOW_GAMMA_MIN, str(is_below).lower()))
        marks += [RunTag(name, value) for name, value in (product_tags() | plugin_tags(cell)).items()]
        self._client.log_batch(run_id, params=params, tags=marks)
        self._client.log_text(run_id, cell.model_dump_json(indent=2), "cell.json")
        self._client.log_dict(run_id, environment(), "environment.json")

    def discard_cell(self, cell: Cell) -> None:
        """Delete the cell's run; MLflow can restore it."""
        self._client.delete_run(self._own_run(cell))
        del self._run_ids[cell.key]

    def log_started(self, cell: Cell, facts: CellFacts, *, data_dir: DataDir) -> None:
        """Log what the cell runs on and with which data."""
        run_id, data = self._own_run(cell), facts.dataset
        tags = {
            DEVICE: facts.device,
            WORLD_SIZE: str(facts.world_size),
            BACKEND: facts.backend,
            FEED: facts.feed,
            SPLIT_HASH: data.split_hash,
        }
        if facts.host:
            tags[HOST] = facts.host
        if facts.layout is not None:
            tags[LAYOUT] = json.dumps(facts.layout)
        if data.pixel_hash is not None:
            tags[PIXEL_HASH] = data.pixel_hash
        if data.groups is not None:
            tags[GROUPS] = data.groups
        if data.unreadable:
            tags[UNREADABLE] = f"{counted(len(data.unreadable), 'image')} left out: {some(data.unreadable)}"
        if data.unmeasured:
            tags[UNMEASURED] = data.unmeasured
        if facts.weights:
            tags[WEIGHTS] = facts.weights
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self._client.log_inputs(run_id, inputs_of(data, data_dir=data_dir))

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
        self._epochs[cell.key][result.epoch] = result

    def pause_cell(self, cell: Cell, event: Paused, *, read_at: Collection[int]) -> None:
        """End the run as killed: its race goes on with it or not, by what its curve says at the epochs `read_at`."""
        tags = {
            CURVE: curve_tag([*self._epochs[cell.key].values()], at=read_at, by=cell.train.tested_by),
            RACE: "paused",
        }
        self._client.log_batch(self._own_run(cell), tags=[RunTag(name, value) for name, value in tags.items()])
        self._client.set_terminated(self._own_run(cell), "KILLED", end_time=event.timestamp_ms)

    def stop_cell(self, cell: Cell, event: Stopped, known: CellRun | None) -> None:
        """Say of a cell's run, if it has one, where and why its race has stopped it."""
        run_id = self._run_ids.get(cell.key) or (known.run_id if known is not None else None)
        if run_id is None:
            return
        self.sweep.confirm()
        numbers = {RACE_RUNG: event.rung, RACE_PLACE: event.place, RACE_MEAN: event.mean, RACE_CUT: event.cut}
        tags = {RACE: "stopped"} | {name: "" if value is None else f"{value}" for name, value in numbers.items()}
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        if cell.key not in self._run_ids and self._client.get_run(run_id).info.status == "RUNNING":
            # Its driver was killed, and nobody goes on with it.
            self._client.set_terminated(run_id, "KILLED", end_time=event.timestamp_ms)

    def finish_cell(
        self,
        cell: Cell,
        result: CellResult,
        facts: CellFacts,
        *,
        folder: CellFolder,
        read_at: Collection[int] = (),
    ) -> None:
        """Log the test metrics, their tables and the predictions, and end the run.

        Args:
            cell: The cell.
            result: What it leaves.
            facts: What it was trained on.
            folder: Its folder.
            read_at: The epochs of its curve that a race reads.

        Raises:
            UntellableError: There are no best weights in `folder` that a model could be made of; says why.
        """
        run_id, rows = self._own_run(cell), self._own_rows(cell)
        tags = {} if result.first_step_ms is None else {FIRST_STEP_MS: str(result.first_step_ms)}
        tags[CURVE] = curve_tag([*self._epochs[cell.key].values()], at=read_at, by=cell.train.tested_by)
        rows.log_once(result.metrics | in_percent(result.metrics), timestamp_ms=result.timestamp_ms, tags=tags)
        tables, predictions = folder.test, folder.predictions
        if tables.is_dir():  # earlier versions had none
            self._client.log_artifacts(run_id, str(tables), tables.name)
        if predictions.exists():  # likewise
            log_predictions(self._client, run_id, predictions)
        # Before the run ends: of a finished one a model can be made, now or later.
        keep_facts(cell.model, facts.dataset, folder)
        self._client.set_terminated(run_id, "FINISHED", end_time=result.timestamp_ms)
        # Made by a request that was taken for lost, and answered later: in the experiment in which runs are made.
        twins = [run for run in self._runs_of(cell, [self.sweep.experiment_id]) if run.info.run_id != run_id]
        # Who is at work is asked only if there are any: each search takes longer the more cells there are.
        others = self.store.drivers.not_known_dead() - {self.sweep.owner} if twins else set()
        for twin in twins:
            if twin.data.tags.get(OWNER) not in others:
                self._client.delete_run(twin.info.run_id)

    def export_model(self, cell: Cell, run_id: str, folder: CellFolder) -> str:
        """Log the model of a finished cell to its run; see `export_to`."""
        return export_to(self.store, cell, run_id, folder)

    def run_id_of(self, cell: Cell) -> str:
        """Return the id of the run of a cell that this tracker has opened."""
        return self._run_ids[cell.key]

    def fail_cell(self, cell: Cell, reason: str, *, is_lost: bool = False) -> None:
        """End the run as failed, with its reason: the first line as a tag, the whole as an artifact."""
        run_id = self._own_run(cell)
        self._client.set_tag(run_id, REASON, first_line(reason, at_most=5000))
        if is_lost:
            self._client.set_tag(run_id, LOST, "true")
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
            # It was trained: a race waits until that can be told.
            self.fail_cell(cell, problem.in_full, is_lost=True)
        else:
            what = "there is no room for its results" if has_no_room(problem) else "MLflow does not take its results"
            what = "its results cannot be read" if isinstance(problem, ObjectsError) else what
            self._client.set_tag(run_id, REASON, f"{what}: {message_of(problem)}")
            self._client.set_terminated(run_id, "KILLED")

    def interrupt_cell(self, cell: Cell) -> None:
        """End the run as killed; the next sweep goes on with it."""
        if cell.key in self._run_ids:
            self._client.set_terminated(self._own_run(cell), "KILLED")

    def _runs_of(self, cell: Cell, experiment_ids: list[str] | None = None) -> Iterator[Run]:
        """Return the cell's runs in these experiments; None for all: two sweeps may have it in common."""
        return self.store.search(f"tags.`{KIND}` = 'cell' and tags.`{KEY}` = '{cell.key}'", experiment_ids)

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


def _setting_of(run: Run | None, cell: Cell) -> str:
    """Return the setting that a run has as a param, which never changes; of one without, the cell's."""
    known = run.data.params.get(SETTING) if run is not None else None
    return known or cell.setting
