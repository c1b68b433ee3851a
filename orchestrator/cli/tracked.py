"""The MLflow store of an experiment, and the runs in it.

It takes seconds to import: a command does so once the experiment file was read, whose mistakes are said before.
"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.opened import Opened
from orchestrator.records import CellRun
from orchestrator.tracking import Tracker, check_place
from orchestrator.train import with_stored
from orchestrator.uris import SQLITE_PREFIX, is_server


def tracker_of(opened: Opened) -> Tracker:
    """Connect to the experiment's MLflow store; a SQLite one is made if it is not there yet."""
    artifacts = opened.experiment.tracking.artifacts
    if opened.tracking_uri:
        return Tracker(opened.tracking_uri, artifacts=artifacts or _in_storage(opened), origin=opened.origin)
    opened.storage.prepare()
    return Tracker(f"{SQLITE_PREFIX}{opened.storage.database}", artifacts=artifacts or opened.storage.artifacts_dir)


def _in_storage(opened: Opened) -> Path | None:
    """Return where artifacts go that a database is not told of: MLflow's own choice is the folder of the command."""
    return None if is_server(opened.tracking_uri or "") else opened.storage.artifacts_dir


def runs_of(opened: Opened) -> dict[str, CellRun]:
    """Return what is known of the cells, by key: their runs in MLflow, and what storage has that MLflow lacks."""
    opened.storage.check()
    return with_stored(opened.cells, opened.storage, _tracked(opened))


def _tracked(opened: Opened) -> dict[str, CellRun]:
    """Return the cells' runs in MLflow; a store that is not there yet is not made, it has none."""
    if opened.database is None or opened.database.exists():
        return tracker_of(opened).cell_runs(opened.cells)
    if opened.tracking_uri:
        check_place(opened.database, opened.origin)
        click.echo(f"{opened.origin}: {opened.database} is not there yet, run makes it", err=True)
    return {}
