"""The MLflow store of an experiment, and the runs in it.

It takes seconds to import: a command does so once the experiment file was read, whose mistakes are said before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from orchestrator.experiment import Cell, columns
from orchestrator.objects import Address
from orchestrator.opened.experiment import Opened
from orchestrator.racing import Following
from orchestrator.records import CellRun
from orchestrator.results import predictions_of_cell
from orchestrator.storage import Predictions
from orchestrator.tracking import RaceReader, Tracker, check_place, kept_of, of_other_code
from orchestrator.train import with_stored
from orchestrator.uris import SQLITE_PREFIX, is_server

logger = logging.getLogger(__name__)


def tracker_of(opened: Opened) -> Tracker:
    """Connect to the experiment's MLflow store; a SQLite file is made if it is not there yet, its folder is not."""
    artifacts = opened.experiment.tracking.artifacts
    if opened.tracking_uri:
        tracker = Tracker(opened.tracking_uri, artifacts=artifacts or _in_storage(opened), origin=opened.origin)
    else:
        uri = f"{SQLITE_PREFIX}{opened.storage.database}"
        tracker = Tracker(uri, artifacts=artifacts or opened.storage.artifacts_dir)
    tracker.sweep.confirms = opened.confirms
    return tracker


def _in_storage(opened: Opened) -> Path | Address | None:
    """Return where artifacts go that a database is not told of: MLflow's own choice is the folder of the command."""
    if is_server(opened.tracking_uri or ""):
        return None
    folder, place = opened.storage.artifacts_dir, opened.experiment.storage
    return place.as_here().below(folder.name) if isinstance(place, Address) else folder


def runs_of(opened: Opened, *, and_of: Sequence[Cell] = ()) -> dict[str, CellRun]:
    """Return what is known of the cells, by key: their runs in MLflow, and what storage has that MLflow lacks.

    Of a search it is looked how far it is, which `opened` knows then, and all that it has asked for.

    Args:
        opened: The experiment.
        and_of: Further cells.
    """
    opened.storage.check()
    if opened.experiment.search is not None:
        return _runs_of_search(opened, and_of)
    cells = [*opened.cells, *and_of]
    return with_stored(cells, opened.storage, _tracked(opened, cells))


def _runs_of_search(opened: Opened, and_of: Sequence[Cell]) -> dict[str, CellRun]:
    """Return the runs as the race sees them: which of those that nobody works on wait, and which are stopped."""
    tracker = _connected(opened, [*opened.cells, *and_of])
    store = tracker.store if tracker is not None else None
    every = tracker.every_cell_run() if tracker is not None else {}
    reader = RaceReader(Following(opened.experiment, columns(opened.experiment)), store)
    opened.followed, every = reader.look(every, kept_of(opened.experiment, opened.storage, store))
    if found := opened.followed.configurations:
        opened.know(found)
    cells = [*opened.cells, *and_of]
    tracked = {cell.key: every[cell.key] for cell in cells if cell.key in every}
    return opened.followed.seen(with_stored(cells, opened.storage, tracked))


def predictions_of(
    opened: Opened, fetch: Callable[[str, Path], bool] | None, runs: Mapping[str, CellRun], cell: Cell
) -> Predictions | None:
    """Return what a finished cell says of each test image; None if it is not finished, or they are nowhere.

    Args:
        opened: Its experiment.
        fetch: Writes those of a run to a file, and returns whether it has any; None if there is no store.
        runs: From `runs_of`.
        cell: One of them.
    """
    run = runs.get(cell.key)
    if run is None or not run.has_result:
        return None
    of_run = partial(fetch, run.run_id) if fetch is not None and run.run_id is not None else None
    return predictions_of_cell(opened.storage.cell(cell.key), fetch=of_run)


def at_work(opened: Opened, runs: Mapping[str, CellRun]) -> Iterator[str]:
    """Yield who has `run` refuse now, and will not for ever: a sweep at work in the storage, or on the same cells.

    Raises:
        UserError: The MLflow experiment was deleted.
    """
    if holder := opened.storage.in_use_by():
        yield f"run is refused while {opened.storage.shown()} is in use by {holder}"
    if opened.store_is_there:
        tracker = tracker_of(opened)
        if driver := tracker.sweep.driver_at_work(opened.experiment, runs):
            yield f"run is refused while a sweep of the same cells is at work in {tracker.store.shown_uri}: {driver}"


def _tracked(opened: Opened, cells: Sequence[Cell]) -> dict[str, CellRun]:
    """Return the cells' runs in MLflow."""
    tracker = _connected(opened, cells)
    return tracker.cell_runs(cells) if tracker is not None else {}


def _connected(opened: Opened, cells: Sequence[Cell]) -> Tracker | None:
    """Connect to the store that has the cells' runs; None for one that is not there yet: it is not made."""
    if opened.store_is_there:
        tracker = tracker_of(opened)
        if said := of_other_code(tracker.store, cells):
            logger.warning("%s", said)
        return tracker
    if opened.tracking_uri and opened.database is not None:
        check_place(opened.database, opened.origin)
        logger.warning("%s: %s is not there yet, run makes it", opened.origin, opened.database)
    return None
