"""What a sweep says, kept in its run in MLflow: anew whenever a column of the table is complete, and at the end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from orchestrator.errors import TrackingError
from orchestrator.experiment import Cell, Experiment
from orchestrator.records import CellRun
from orchestrator.results import Answer, Names, Raced, answer_of
from orchestrator.storage import Storage
from orchestrator.terminal import print_lines
from orchestrator.tracking import Tracker, compared

logger = logging.getLogger(__name__)


class Answering:
    """Keeps what an open sweep says.

    Args:
        experiment: The sweep.
        cells: Returns all of its cells that are known.
        storage: Where their predictions are.
        tracker: Of the store that holds their runs; its sweep is open whenever something is kept.
        runs: Those that there were at the start, by key.
        races: Returns the searches of its columns, as far as they are.
    """

    def __init__(
        self,
        experiment: Experiment,
        cells: Callable[[], Sequence[Cell]],
        storage: Storage,
        tracker: Tracker,
        runs: Mapping[str, CellRun],
        *,
        races: Callable[[], Sequence[Raced]] = tuple,
    ) -> None:
        self._experiment, self._cells, self._storage, self._tracker = experiment, cells, storage, tracker
        self._races = races
        self._kept: Answer | None = None
        self._left = Counter(
            _column(cell) for cell in cells() if cell.key not in runs or runs[cell.key].status != "done"
        )

    def current(self) -> Answer:
        """Return what the sweep says of what MLflow has now."""
        cells = self._cells()
        runs = self._tracker.cell_runs(cells)
        comparison = compared(
            self._experiment,
            cells,
            runs,
            self._storage,
            lambda: self._tracker,
            is_look=False,
            races=self._races(),
        )
        return answer_of(comparison, Names(self._experiment.names))

    def keep(self, console: Console) -> None:
        """Keep what the sweep says now; show what is in the way."""
        try:
            self._keep()
        except TrackingError as error:
            # The next run makes up for it.
            print_lines(console, [f"MLflow: the sweep's description is not kept: {error.in_one_line}"], style="yellow")

    def delivered(self, cell: Cell) -> None:
        """Take note of a cell that MLflow has now; with the last one of a column it is kept what the sweep says.

        Of a search, in which not every cell is trained, at the end alone.
        """
        self._left[_column(cell)] -= 1
        if self._left[_column(cell)]:
            return
        try:
            self._keep()
        except Exception:
            # Results go on being delivered; it is tried again at the end, and said there.
            logger.exception("what the sweep says was not kept")

    def _keep(self) -> None:
        now = self.current()
        if now != self._kept:
            self._tracker.sweep.log_answer(now)
            self._kept = now


def _column(cell: Cell) -> tuple[str, str]:
    return cell.dataset.label, cell.model.label
