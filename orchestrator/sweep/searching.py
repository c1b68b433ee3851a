"""The search of a sweep while its driver is at work: looked at, kept before a leg is trained, and told to MLflow."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.errors import TrackingError, first_line
from orchestrator.experiment import Cell, Column, Experiment, columns
from orchestrator.racing import (
    CellLeg,
    Followed,
    Following,
    Kept,
    place,
    read_at,
    record,
    staying,
    told_at_first,
)
from orchestrator.records import CellRun, Stopped, now_ms
from orchestrator.storage import Storage
from orchestrator.tracking import RaceReader, Tracker, kept_of
from orchestrator.waiting import waiting_for

RETRY_EVERY_S = 5.0

logger = logging.getLogger(__name__)


class Searching:
    """Follows the search of an experiment for the driver that trains it.

    Args:
        experiment: With a search.
        storage: Where it is kept.
        tracker: Of the store that holds its runs.
        retry: Whether cells that failed are trained again; without a race they always are, as those of a grid.

    Attributes:
        followed: How far it is.
        runs: What is known of all cells, by key, with the curves of those that are in the race.

    Raises:
        UserError: A budget does not suffice, a sampler refuses, or what is kept cannot be read.
        TrackingError: MLflow does not answer.
    """

    def __init__(self, experiment: Experiment, storage: Storage, tracker: Tracker, *, retry: bool = False) -> None:
        self._experiment, self._tracker = experiment, tracker
        self._storage, self._file = storage, storage.race(experiment.name)
        found = columns(experiment)
        self._following = Following(experiment, found, ask=Column.ask)
        self._reader = RaceReader(self._following, tracker.store)
        self._kept = self._with_told(kept_of(experiment, storage, tracker.store), found)
        self._saved: Kept | None = None
        self._told: dict[str, Stopped] = {}
        self._logged = ""
        self.say: Callable[[str], None] = logger.warning
        self.tell: Callable[[Cell, Stopped], None] = lambda *_: None
        # Where nobody can interrupt it, it waits for nothing.
        self.is_interrupted: Callable[[], bool] = lambda: True
        self.runs: dict[str, CellRun] = tracker.every_cell_run()
        if retry or (experiment.search is not None and experiment.search.race == "none"):
            self.runs = {key: _tried_again(run) for key, run in self.runs.items()}
        self.followed = self._look(self.runs)

    def read_at(self, cell: Cell) -> frozenset[int]:
        """Return the epochs of a cell that its race reads."""
        return read_at(cell.train.epochs, self._experiment.search)

    def advance(self, runs: Mapping[str, CellRun]) -> Sequence[Sequence[CellLeg]]:
        """Return what is to be trained of each column now; it is kept what it rests on, and told who is stopped.

        While MLflow does not answer it waits: without it nothing is known, and interrupted, nothing follows.
        """
        if not self._has_looked(runs):
            return []
        for line in self._following.remarks():
            self.say(line)
        self._save()
        self._tell_stopped(runs)
        return [column.legs for column in self.followed.columns]

    def log(self) -> None:
        """Have MLflow's run of the sweep, which is open, what is kept and decided, if it has changed.

        Raises:
            TrackingError: MLflow does not take it.
        """
        text = json.dumps(record(self.followed), indent=2)
        if text != self._logged:
            self._tracker.sweep.log_race(text)
            self._logged = text

    def try_to_log(self) -> None:
        """Do so; what fails is tried again with the next change, and said at the end."""
        try:
            self.log()
        except TrackingError:
            logger.exception("the decisions of the race were not logged")

    def _with_told(self, kept: Kept, columns: Sequence[Column]) -> Kept:
        """Return what is kept, with what samplers are told at first: once, since more cells are finished later."""
        asked = [each for each in columns if each.search.warm_start and place(each) not in kept.told]
        finished = self._tracker.finished_cells() if asked else []
        told = {place(each): told_at_first(each, finished, asked=staying(each, kept, each.name_of)) for each in asked}
        return kept.model_copy(update={"told": {**kept.told, **told}})

    def _look(self, runs: Mapping[str, CellRun]) -> Followed:
        followed, self.runs = self._reader.look(runs, self._kept)
        self._kept = followed.kept
        return followed

    def _has_looked(self, runs: Mapping[str, CellRun]) -> bool:
        with waiting_for("MLflow to answer: the search asks what was trained before"):
            while True:
                try:
                    self.followed = self._look(runs)
                    return True
                except TrackingError:
                    logger.exception("the search does not know what follows")
                    if self.is_interrupted():
                        return False
                    time.sleep(RETRY_EVERY_S)

    def _save(self) -> None:
        """Keep what is to be kept, if it has changed; without it the same would be asked again."""
        if self._kept == self._saved:
            return
        try:
            self._kept.save(self._file)
            self._storage.keep(self._file)
            self._saved = self._kept
        except OSError as error:
            why = error.strerror or first_line(error)
            shown = self._storage.shown(self._file)
            self.say(f"{shown}: not written ({why}): another version of a sampler would ask otherwise")

    def _tell_stopped(self, runs: Mapping[str, CellRun]) -> None:
        """Tell of the cells that have a run and do not say yet that, where and why they were stopped."""
        for column in self.followed.columns:
            for name, stop in column.stopped.items():
                mean, cut = (value if math.isfinite(value) else None for value in (stop.mean, stop.cut))
                said = Stopped(stop.rung, stop.place, mean, cut, timestamp_ms=0)
                for key, cell in column.cells[name].items():
                    run = runs.get(key)
                    if run is None or run.has_result or self._told.get(key, run.stopped) == said:
                        continue
                    self._told[key] = said
                    self.tell(cell, replace(said, timestamp_ms=now_ms()))


def _tried_again(run: CellRun) -> CellRun:
    return replace(run, status="interrupted") if run.status == "failed" else run
