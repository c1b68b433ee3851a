"""Has MLflow the models that ``tracking.models`` asks for, each as soon as all seeds of its configuration are done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from orchestrator.amounts import counted, some
from orchestrator.errors import TrackingError, first_line
from orchestrator.experiment import Cell, Experiment
from orchestrator.records import CellResult, CellRun
from orchestrator.results import models_to_export
from orchestrator.storage import BEST, Storage
from orchestrator.terminal import print_lines
from orchestrator.tracking import Tracker, UntellableError

logger = logging.getLogger(__name__)


class Exporting:
    """Exports the models of an open sweep, by the driver that has its lease.

    What is not exported, since it could not be or since the driver died, the next run makes up for.

    Args:
        experiment: The sweep.
        cells: Returns all of its cells that are known.
        storage: Where their best weights are.
        tracker: Of the store that holds their runs; its sweep is open whenever something is exported.
        runs: Those that there were at the start, by key.
    """

    def __init__(
        self,
        experiment: Experiment,
        cells: Callable[[], Sequence[Cell]],
        storage: Storage,
        tracker: Tracker,
        runs: Mapping[str, CellRun],
    ) -> None:
        self._models, self._cells = experiment.tracking.models, cells
        self._storage, self._tracker = storage, tracker
        self._runs = dict(runs)
        self._members: tuple[Sequence[Cell], dict[str, list[Cell]]] = (), {}

    def delivered(self, cell: Cell, result: CellResult) -> None:
        """Take note of a cell that MLflow has now; with the last seed of a configuration its model is exported."""
        run_id = self._tracker.run_id_of(cell)
        self._runs[cell.key] = CellRun(key=cell.key, status="done", run_id=run_id, metrics=result.metrics)
        for wanted in models_to_export(self._members_with(cell), self._runs, self._models):
            try:
                self._export(wanted)
            except Exception:
                # Results go on being delivered; it is tried again at the end, and said there.
                logger.exception("the model of %s was not exported", wanted.label)

    def lacking(self) -> tuple[list[Cell], list[Cell]]:
        """Return the cells whose models MLflow should have and has not: with their best weights here, and without."""
        here: list[Cell] = []
        lost: list[Cell] = []
        wanted = models_to_export(self._cells(), self._runs, self._models)
        with self._storage.glance():
            for cell in wanted:
                (here if self._storage.cell(cell.key).has(BEST) else lost).append(cell)
        return here, lost

    def _members_with(self, cell: Cell) -> Sequence[Cell]:
        """Return the cells of a configuration; which there are is told apart once, until a search asks for more."""
        cells, members = self._cells(), self._members
        if members[0] is not cells:
            members = self._members = cells, {}
            for each in cells:
                members[1].setdefault(each.config_key, []).append(each)
        return members[1][cell.config_key]

    def tell_lost(self, lost: Sequence[Cell], console: Console) -> None:
        """Show of which cells MLflow lacks a model that nobody can export, since their best weights are not here."""
        if lost:
            names = some([f"{cell.key} ({cell.label})" for cell in lost])
            what = f"no model of {counted(len(lost), 'configuration' if self._models == 'best' else 'cell')}"
            why = f"the best weights are not in {self._storage.shown(self._storage.cells_dir)}: cell {names}"
            print_lines(console, [f"MLflow: {what}: {why}; zetasweep doctor says what helps"], style="yellow")

    def make_up_for(self, console: Console) -> None:
        """Export what is lacking; show what is in the way."""
        lacking, lost = self.lacking()
        self.tell_lost(lost, console)
        if not lacking:
            return
        print_lines(console, [f"MLflow: exporting {counted(len(lacking), 'model')} that it lacks ..."])
        for cell in lacking:
            try:
                self._export(cell)
            except (UntellableError, TrackingError, OSError) as error:
                why = f"no model of cell {cell.key} ({cell.label}): {first_line(error)}"
                print_lines(console, [f"MLflow: {why}; zetasweep doctor --fix exports it"], style="yellow")

    def _export(self, cell: Cell) -> None:
        run = self._runs[cell.key]
        assert run.run_id is not None, "MLflow has it finished"
        folder = self._storage.cell(cell.key)
        try:
            model_uri = self._tracker.export_model(cell, run.run_id, folder)
        finally:
            folder.forget()
        self._runs[cell.key] = replace(run, model_uri=model_uri)
