"""An experiment with what its commands work on: its cells, its folder of results, the address of its MLflow store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

from orchestrator.environment import TRACKING_URI
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Configuration, Experiment, expand, load_experiment
from orchestrator.racing import Followed, Kept, known_configurations
from orchestrator.records import CellRun
from orchestrator.results import check_comparing, confirming, lost_rows, named_as_now, refuse_kept_seeds
from orchestrator.storage import FIRST_SEED, Choice, Confirmation
from orchestrator.uris import IN_ADDRESSES, database_of, is_sqlite, names_itself


class Opened:
    """An experiment that was read from its file.

    Args:
        path: Of the file.
        overrides: ``KEY=VALUE`` each, as after ``-o``.

    Attributes:
        experiment: What the file says.
        configurations: All that are known of it: of a search that learns there may be more later.
        cells: What it means.
        followed: How far its search is, once `orchestrator.opened.tracked.runs_of` has looked; None without a search.
        storage: Where its results are.
        tracking_uri: Of its MLflow store; None for the SQLite file in `storage`.
        origin: What the user gave `tracking_uri` in.
        confirmation: What is confirmed of it, as it was chosen; without a choice as long as nothing is.
        confirms: Of which experiment this is the confirmation; None of one that was read from a file.

    Raises:
        UserError: Anything is wrong with file or overrides.
    """

    def __init__(self, path: str, overrides: Sequence[str]) -> None:
        self.experiment: Experiment = load_experiment(Path(path), overrides)
        self.storage = self.experiment.kept_in
        # What the file says goes first; MLflow's own variable may hold a password, and the file may not.
        self.origin = "tracking.uri" if self.experiment.tracking.uri else TRACKING_URI
        self.tracking_uri = self.experiment.tracking.uri or os.environ.get(TRACKING_URI)
        self._check_server()
        self.followed: Followed | None = None
        self.know(known_configurations(self.experiment, self._kept()))
        check_comparing(
            self.experiment.compare,
            self.cells,
            file=self.experiment.file,
            is_searched=self.experiment.search is not None,
        )
        self.confirms: str | None = None
        self.read_confirmation()
        if not self.tracking_uri and not names_itself(self.storage.database):
            raise UserError(
                f"storage = {self.storage.root}: MLflow's SQLite file cannot lie there",
                allowed=IN_ADDRESSES,
                remedy="name another folder with -o storage=PATH, or another store with -o tracking.uri=URI",
            )

    def _check_server(self) -> None:
        """Raise UserError if MLflow's store would be a file, and the results are kept as objects."""
        if not self.storage.is_copied or (self.tracking_uri and not is_sqlite(self.tracking_uri)):
            return
        named = f"{self.origin} = {self.tracking_uri}" if self.tracking_uri else "no tracking.uri"
        raise UserError(
            f"storage = {self.storage.shown()} with {named}: MLflow's SQLite file needs a disk, and is not found again "
            "from another machine",
            allowed="an MLflow server, or a database server",
            remedy="name it with -o tracking.uri=http://HOST:PORT, or in MLFLOW_TRACKING_URI\n"
            "or keep the results in a folder: -o storage=PATH",
        )

    def know(self, configurations: Sequence[Configuration]) -> None:
        """Have the cells of these configurations: a search asks for more while it runs."""
        self.configurations = tuple(configurations)
        self.cells: list[Cell] = expand(self.experiment, self.configurations)

    def _kept(self) -> Kept | None:
        """Return what is kept of a search in storage; one that cannot be read is said with all else that is wrong."""
        if not self.experiment.drawn:
            return None
        file = self.storage.race(self.experiment.name)
        return Kept.load(file, shown=self.storage.shown(file)) if os.path.exists(file) else None

    def read_confirmation(self) -> None:
        """Read what is confirmed of the experiment, which another process may just have begun.

        Raises:
            UserError: The file says what this version does not know, or the experiment has seeds that are kept for it.
        """
        file = self.storage.confirmation(self.experiment.name)
        # A folder that cannot be read is said with all else that is wrong with it.
        found = self._confirmation_in(file) if os.path.exists(file) else None
        self.confirmation = named_as_now(found or Confirmation(sweep=self.experiment.name), self.cells)
        if max(self.experiment.seed) >= FIRST_SEED:
            # Another sweep may have the same rows.
            kept = map(self._confirmation_in, self.storage.confirmations())
            refuse_kept_seeds(self.cells, filter(None, kept), file=self.experiment.file)

    def _confirmation_in(self, file: Path) -> Confirmation | None:
        return Confirmation.load(file, shown=self.storage.shown(file))

    @property
    def choices(self) -> list[Choice]:
        """What is confirmed of the columns that the file has."""
        columns = {(cell.dataset.label, cell.model.label) for cell in self.cells}
        return [choice for choice in self.confirmation.choices if choice.column in columns]

    def part(self, *, confirmed: bool) -> Opened:
        """Return the sweep, or what is confirmed of it alone.

        Raises:
            UserError: See `check_confirmed`.
        """
        if not confirmed:
            return self
        self.check_confirmed()
        return self.confirmed()

    def confirmed(self) -> Opened:
        """Return what is confirmed as an experiment of its own, with the cells of all rows that the file still has."""
        other = copy(self)
        other.experiment, other.cells = confirming(self.experiment, self.confirmation, self.configurations)
        other.confirms, other.followed = self.experiment.name, None
        return other

    def check_confirmed(self) -> None:
        """Raise UserError if nothing is confirmed, or rows that the file has no more."""
        file = self.experiment.file
        if not self.choices:
            raise UserError(f"{file}: nothing of it is confirmed yet", remedy="zetasweep confirm does it")
        lost = [f"{row} on {' / '.join(each.column)}" for each in self.choices for row in lost_rows(each, self.cells)]
        if lost:
            raise UserError(
                f"{file}: rows that are confirmed are not in it, or are trained otherwise there: {', '.join(lost)}",
                remedy="bring them back, or give the -o of then\nor choose anew: zetasweep confirm --again",
            )

    @property
    def database(self) -> Path | None:
        """The file of the MLflow store; None for one on a server."""
        return database_of(self.tracking_uri) if self.tracking_uri else self.storage.database

    @property
    def store_is_there(self) -> bool:
        """Whether the MLflow store is there, as one on a server is said to be; a SQLite file is made by who writes."""
        return self.database is None or self.database.exists()

    def is_done(self, runs: Mapping[str, CellRun]) -> bool:
        """Return whether all cells are done, and MLflow has them; of a search those that it trains to the end."""
        found = [runs.get(cell.key) for cell in self.cells]
        if self.followed is not None:
            return self.followed.is_over and not any(run is not None and run.status == "failed" for run in found)
        return all(run is not None and run.status == "done" for run in found)
