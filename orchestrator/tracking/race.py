"""What is kept of a search: beside its storage, and in the sweep's run in MLflow, for whoever has another storage."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.amounts import counted
from orchestrator.experiment import Cell, Experiment
from orchestrator.racing import Followed, Following, Kept, kept_in, lacks_curve, read_at
from orchestrator.records import CellRun, Curve
from orchestrator.storage import Storage
from orchestrator.tracking.curves import read_curve
from orchestrator.tracking.errors import kind_and_message
from orchestrator.tracking.reports import sweep_of
from orchestrator.tracking.store import Store

RACE_FILE = "race.json"

logger = logging.getLogger(__name__)


class RaceReader:
    """Looks at a search with the curves that MLflow has: in tags, or of cells that were trained without, in histories.

    Args:
        following: Of the experiment.
        store: That has the histories, each of which is read once; None where there is none.

    Attributes:
        read: The curves from histories, by key of the cell.
    """

    def __init__(self, following: Following, store: Store | None) -> None:
        self._following, self._store = following, store
        self.read: dict[str, Curve] = {}

    def look(self, runs: Mapping[str, CellRun], kept: Kept) -> tuple[Followed, dict[str, CellRun]]:
        """Return how far the search is, and the runs with the curves that were read.

        Raises:
            UserError: See `Following.followed`.
            TrackingError: MLflow does not answer.
        """
        known = dict(runs)
        for key in self.read.keys() & runs.keys():
            self._complete(known, runs[key])
        while True:
            followed = self._following.followed(known, kept)
            lacking = [] if self._store is None else [*self._lacking(followed, known)]
            if self._store is None or not lacking:
                return followed, known
            for run, cell, at in lacking:
                self.read[run.key] = read_curve(self._store, run, at=at, by=cell.train.tested_by)
                self._complete(known, run)

    def _lacking(
        self, followed: Followed, runs: Mapping[str, CellRun]
    ) -> Iterator[tuple[CellRun, Cell, Collection[int]]]:
        for column in followed.columns:
            at = read_at(column.column.epochs, column.column.search)
            for key, cell in (item for cells in column.cells.values() for item in cells.items()):
                run = runs.get(key)
                if key not in self.read and run is not None and run.run_id is not None and lacks_curve(run, at):
                    yield run, cell, at

    def _complete(self, runs: dict[str, CellRun], run: CellRun) -> None:
        """Give a run the curve that was read, unless it has one of its own that goes further."""
        read, own = (
            max(curve.values["best/error"], default=0) if curve else 0 for curve in (self.read[run.key], run.curve)
        )
        if read > own:
            runs[run.key] = replace(run, curve=self.read[run.key])


def kept_of(experiment: Experiment, storage: Storage, store: Store | None) -> Kept:
    """Return what is kept of an experiment's search: what storage has, and what MLflow has beside that.

    Another machine with another storage may have gone on with it.

    Args:
        experiment: With a search.
        storage: Its own.
        store: That holds its runs; None where there is none yet.

    Raises:
        UserError: It cannot be read: of a later version, or damaged.
        TrackingError: MLflow does not answer.
    """
    file = storage.race(experiment.name)
    here = Kept.load(file, shown=storage.shown(file))
    there = _in_mlflow(experiment, store) if store is not None else None
    if here is None or there is None:
        return here or there or Kept(sweep=experiment.name)
    kept, num_others = here.with_missing(there)
    if num_others:
        logger.warning(
            "%s and %s of the sweep's run in MLflow differ in %s of what a search keeps: the file counts here; move it "
            "away to go on with what MLflow has",
            storage.shown(file),
            RACE_FILE,
            counted(num_others, "place"),
        )
    return kept


def _in_mlflow(experiment: Experiment, store: Store) -> Kept | None:
    run = sweep_of(store, experiment)
    if run is None:
        return None
    run_id = run.info.run_id
    try:
        if not any(each.path == RACE_FILE for each in store.client.list_artifacts(run_id)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(store.client.download_artifacts(run_id, RACE_FILE, folder))
            found = json.loads(path.read_text(encoding="utf-8"))
    except Exception as error:
        # Which errors, is the artifact store's.
        logger.exception("what is kept of the search")
        logger.warning(
            "%s of MLflow's run %s cannot be read (%s): a sampler is asked anew, and says the same if it is the same "
            "version",
            RACE_FILE,
            run_id,
            kind_and_message(error),
        )
        return None
    return kept_in(found, origin=f"{RACE_FILE} of MLflow's run {run_id}")
