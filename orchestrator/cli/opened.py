"""An experiment with what its commands work on: its cells, its folder of results, its MLflow store, its runs.

Whatever imports Ray, MLflow or SciPy is imported in functions, here and in the commands: it takes seconds, and a
mistake in the experiment file is said before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.environment import TRACKING_URI
from orchestrator.exit_codes import DONE, INCOMPLETE
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import Experiment
from orchestrator.records import CellRun
from orchestrator.storage.folder import Storage
from orchestrator.uris import SQLITE_PREFIX, database_of


class Opened:
    """An experiment that was read from its file.

    Args:
        path: Of the file.
        overrides: ``KEY=VALUE`` each, as after ``-o``.

    Attributes:
        experiment: What the file says.
        cells: What it means.
        storage: Where its results are.

    Raises:
        ConfigError: Anything is wrong with file or overrides.
    """

    def __init__(self, path: str, overrides: Sequence[str]) -> None:
        self.experiment: Experiment = load_experiment(Path(path), overrides)
        self.cells: list[Cell] = expand(self.experiment)
        self.storage = Storage(self.experiment.storage)
        # What the file says goes first; MLflow's own variable may hold a password, and the file may not.
        self._origin = "tracking.uri" if self.experiment.tracking.uri else TRACKING_URI
        self._tracking_uri = self.experiment.tracking.uri or os.environ.get(TRACKING_URI)

    def tracker(self) -> Any:
        """Return the `Tracker` of the experiment's MLflow store; a SQLite one is made if it is not there yet."""
        from orchestrator.tracking.tracker import Tracker

        if self._tracking_uri:
            return Tracker(self._tracking_uri, origin=self._origin)
        self.storage.prepare()
        return Tracker(f"{SQLITE_PREFIX}{self.storage.database}", artifacts=self.storage.artifacts_dir)

    @property
    def database(self) -> Path | None:
        """The file of the MLflow store; None for one on a server."""
        return database_of(self._tracking_uri) if self._tracking_uri else self.storage.database

    def runs(self) -> dict[str, CellRun]:
        """Return the known runs of the cells; a store that is not there yet is not made, it has none."""
        self.storage.check()
        if self.database is None or self.database.exists():
            runs: dict[str, CellRun] = self.tracker().cell_runs(self.cells)
            return runs
        if self._tracking_uri:
            from orchestrator.tracking.database import check_place

            check_place(self.database, self._origin)
            click.echo(f"{self._origin}: {self.database} is not there yet, run makes it", err=True)
        return {}

    def exit_code(self, runs: Mapping[str, CellRun]) -> int:
        """Return what a command that shows results exits with: 1 unless all cells are done."""
        done = all(cell.key in runs and runs[cell.key].status == "done" for cell in self.cells)
        return DONE if done else INCOMPLETE
