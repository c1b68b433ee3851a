"""The comparison of an experiment, with all that it rests on: each test image's predictions, and earlier looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from orchestrator.errors import first_line
from orchestrator.experiment import Cell, Comparing, Experiment
from orchestrator.records import CellRun
from orchestrator.results import Comparison, Raced, Seeds, compare, some_predictions_of_cell
from orchestrator.storage import LOOKS, SomePredictions, Storage, note_look, read_looks
from orchestrator.tracking.predictions import FetchedOrNot
from orchestrator.tracking.tracker import Tracker
from orchestrator.waiting import waiting_for

logger = logging.getLogger(__name__)


def compared(
    experiment: Experiment,
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    storage: Storage,
    tracker: Callable[[], Tracker],
    *,
    is_look: bool,
    metric: str | None = None,
    baseline: str | None = None,
    comparing: Comparing | None = None,
    best_of_settings: Sequence[str] = (),
    races: Sequence[Raced] = (),
) -> Comparison:
    """Return the comparison of an experiment.

    Args:
        experiment: It.
        cells: Its cells.
        runs: What is known of them, by key.
        storage: Where their predictions are, or else MLflow's run has them.
        tracker: Connects to MLflow, if that must be asked.
        is_look: Whether somebody sees it: which seeds it stands on is kept then.
        metric: See `orchestrator.results.compare`, as the others.
        baseline: Likewise.
        comparing: Likewise; None for what the experiment says.
        best_of_settings: Likewise.
        races: Likewise.

    Raises:
        UserError: See there.
    """
    looks = _Looks(storage)
    with waiting_for("the predictions for each test image"), storage.glance():
        comparison = compare(
            cells,
            runs,
            metric=metric,
            baseline=baseline,
            comparing=comparing or experiment.compare,
            in_file=experiment.compare_in_file,
            confirmed=experiment.confirmed,
            best_of_settings=best_of_settings,
            predictions=_Reader(storage, runs, tracker),
            looks=looks.before,
            races=races,
        )
    if is_look and comparison.seen:
        looks.note(comparison.seen)
    return comparison


class _Reader:
    """Reads the predictions of cells from their folders, or else from MLflow, which is asked only if it must be.

    Artifacts that cannot be reached keep no table back: what is there is compared.
    """

    def __init__(self, storage: Storage, runs: Mapping[str, CellRun], connect: Callable[[], Tracker]) -> None:
        self._storage, self._runs = storage, runs
        lost = "nothing is said of new images where predictions lack"
        self._fetch = FetchedOrNot(lambda: connect().store, lost=lost)

    def __call__(self, cell: Cell, names: Sequence[str]) -> SomePredictions | None:
        run = self._runs[cell.key]
        fetch = partial(self._fetch, run.run_id) if run.status == "done" and run.run_id is not None else None
        return some_predictions_of_cell(self._storage.cell(cell.key), names, fetch=fetch)


class _Looks:
    """The looks that storage keeps: where it cannot, that is said, and the table is shown all the same."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._is_sound = True
        self.before: list[dict[str, frozenset[str]]] = []
        self._trying(self._read)

    def note(self, seen: Seeds) -> None:
        """Keep that these seeds were looked at; said, and not kept, where there is no folder for it."""
        if self._is_sound:
            self._trying(partial(self._write, seen))

    def _read(self) -> None:
        self.before = read_looks(self._storage.looks)

    def _write(self, seen: Seeds) -> None:
        if not self._storage.is_there:
            raise FileNotFoundError("the folder is not there")  # who only looks makes none
        note_look(self._storage, seen)

    def _trying(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            self._is_sound = False
            why = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
            logger.warning(
                "%s: which seeds were looked at cannot be kept there (%s): what is said once seeds are added does not "
                "allow for this look",
                self._storage.shown(self._storage.root / LOOKS),
                why,
            )
