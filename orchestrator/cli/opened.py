"""An experiment with what its commands work on: its cells, its folder of results, the address of its MLflow store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.environment import TRACKING_URI
from orchestrator.errors import UserError
from orchestrator.exit_codes import DONE, INCOMPLETE
from orchestrator.experiment import Cell, Experiment, expand, load_experiment
from orchestrator.records import CellRun
from orchestrator.results import check_comparing
from orchestrator.storage import Storage
from orchestrator.uris import IN_ADDRESSES, database_of, names_itself


class Opened:
    """An experiment that was read from its file.

    Args:
        path: Of the file.
        overrides: ``KEY=VALUE`` each, as after ``-o``.

    Attributes:
        experiment: What the file says.
        cells: What it means.
        storage: Where its results are.
        tracking_uri: Of its MLflow store; None for the SQLite file in `storage`.
        origin: What the user gave `tracking_uri` in.

    Raises:
        UserError: Anything is wrong with file or overrides.
    """

    def __init__(self, path: str, overrides: Sequence[str]) -> None:
        self.experiment: Experiment = load_experiment(Path(path), overrides)
        self.cells: list[Cell] = expand(self.experiment)
        check_comparing(self.experiment.compare, self.cells, file=self.experiment.file)
        self.storage = Storage(self.experiment.storage)
        # What the file says goes first; MLflow's own variable may hold a password, and the file may not.
        self.origin = "tracking.uri" if self.experiment.tracking.uri else TRACKING_URI
        self.tracking_uri = self.experiment.tracking.uri or os.environ.get(TRACKING_URI)
        if not self.tracking_uri and not names_itself(self.storage.database):
            raise UserError(
                f"storage = {self.storage.root}: MLflow's SQLite file cannot lie there",
                allowed=IN_ADDRESSES,
                remedy="name another folder with -o storage=PATH, or another store with -o tracking.uri=URI",
            )

    @property
    def database(self) -> Path | None:
        """The file of the MLflow store; None for one on a server."""
        return database_of(self.tracking_uri) if self.tracking_uri else self.storage.database

    @property
    def store_is_there(self) -> bool:
        """Whether the MLflow store is there, as one on a server is said to be; a SQLite file is made by who writes."""
        return self.database is None or self.database.exists()

    def exit_code(self, runs: Mapping[str, CellRun]) -> int:
        """Return what a command that shows results exits with: 1 unless all cells are done."""
        done = all(cell.key in runs and runs[cell.key].status == "done" for cell in self.cells)
        return DONE if done else INCOMPLETE
