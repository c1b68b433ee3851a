"""The MLflow store of an experiment, and the runs in it.

It takes seconds to import: a command does so once the experiment file was read, whose mistakes are said before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from orchestrator.cli.opened import Opened
from orchestrator.records import CellRun
from orchestrator.tracking import Tracker, check_place
from orchestrator.train import with_stored
from orchestrator.uris import SQLITE_PREFIX, is_server


def tracker_of(opened: Opened) -> Tracker:
    """Connect to the experiment's MLflow store; a SQLite file is made if it is not there yet, its folder is not."""
    artifacts = opened.experiment.tracking.artifacts
    if opened.tracking_uri:
        return Tracker(opened.tracking_uri, artifacts=artifacts or _in_storage(opened), origin=opened.origin)
    return Tracker(f"{SQLITE_PREFIX}{opened.storage.database}", artifacts=artifacts or opened.storage.artifacts_dir)


def _in_storage(opened: Opened) -> Path | None:
    """Return where artifacts go that a database is not told of: MLflow's own choice is the folder of the command."""
    return None if is_server(opened.tracking_uri or "") else opened.storage.artifacts_dir


def runs_of(opened: Opened) -> dict[str, CellRun]:
    """Return what is known of the cells, by key: their runs in MLflow, and what storage has that MLflow lacks."""
    opened.storage.check()
    return with_stored(opened.cells, opened.storage, _tracked(opened))


def at_work(opened: Opened, runs: Mapping[str, CellRun]) -> Iterator[str]:
    """Yield who has `run` refuse now, and will not for ever: a sweep at work in the storage, or on the same cells.

    Raises:
        UserError: The MLflow experiment was deleted.
    """
    if holder := opened.storage.in_use_by():
        yield f"run is refused while {opened.storage.root} is in use by {holder}"
    if opened.store_is_there:
        tracker = tracker_of(opened)
        if driver := tracker.sweep.driver_at_work(opened.experiment, runs):
            yield f"run is refused while a sweep of the same cells is at work in {tracker.store.shown_uri}: {driver}"


def _tracked(opened: Opened) -> dict[str, CellRun]:
    """Return the cells' runs in MLflow; a store that is not there yet is not made, it has none."""
    if opened.store_is_there:
        return tracker_of(opened).cell_runs(opened.cells)
    if opened.tracking_uri and opened.database is not None:
        check_place(opened.database, opened.origin)
        click.echo(f"{opened.origin}: {opened.database} is not there yet, run makes it", err=True)
    return {}
