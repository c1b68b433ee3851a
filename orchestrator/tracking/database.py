"""The schema of a SQLite database of MLflow: whether it is that of the installed MLflow, and bringing it there."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from orchestrator.errors import UserError
from orchestrator.folders import try_writing
from orchestrator.storage.atomic import temporary_of
from orchestrator.uris import SQLITE_PREFIX
from orchestrator.waiting import waiting_for

State = Literal["current", "older", "newer"]
NEWER_REMEDY = "pip install --upgrade mlflow, or name another store: there is no way back to an older schema"


def check_place(database: Path, origin: str) -> None:
    """Refuse a file that MLflow could not make: it would make folders, too, also for a mistyped one.

    Raises:
        UserError: There is no folder that it would lie in; says what `origin` is to be.
    """
    if not database.parent.is_dir():
        raise UserError(
            f"{origin} = {SQLITE_PREFIX}{database}: {database.parent} is no folder",
            remedy=f"make it, or name another file; {origin} may be left out: SQLite in storage",
        )


def check_can_make(database: Path, origin: str) -> None:
    """Refuse a file that is not there and cannot be made.

    Raises:
        UserError: As `check_place`, or its folder cannot be written to.
    """
    check_place(database, origin)
    if database.exists():
        return
    try:
        try_writing(database.parent)
    except OSError as error:
        raise UserError(
            f"{origin} = {SQLITE_PREFIX}{database}: {database.parent} cannot be written to ({error.strerror or error})",
            remedy=f"mend its permissions, or name another file; {origin} may be left out: SQLite in storage",
        ) from error


def check_schema(database: Path) -> None:
    """Refuse a database whose schema is not the installed MLflow's.

    Left to itself MLflow migrates some of them in place and without a copy, whichever command opens it first.

    Raises:
        UserError: It is older or newer, or the file cannot be read; says what to do.
    """
    state = state_of(revision_of(database))
    if state == "older":
        raise UserError(
            f"{database}: written by an older MLflow than the installed {version('mlflow')}, which needs another "
            "schema",
            remedy="zetasweep doctor EXPERIMENT --fix keeps a copy of it and migrates it",
        )
    if state == "newer":
        raise UserError(f"{database}: {newer_than_installed()}", remedy=NEWER_REMEDY)


def migrate(database: Path, backup: Path) -> None:
    """Bring a database to the schema of the installed MLflow.

    A copy is migrated, since MLflow's migrations are not one transaction, and then written over the database in one.

    Args:
        database: Stays as it is if anything fails.
        backup: Where it is kept as it was.

    Raises:
        UserError: MLflow cannot migrate it, or somebody has written to it meanwhile; says why.
        OSError: The disk is full, or not writable.
    """
    work = temporary_of(database)
    try:
        with closing(sqlite3.connect(database)) as watching:
            before = _data_version(watching)
            try:
                _copy(database, backup)
                _copy(backup, work)
                _upgrade(work, shown=database)
                if _data_version(watching) != before:
                    raise UserError(f"{database}: a server or a sweep writes to it: end it first")
            except BaseException:
                backup.unlink(missing_ok=True)
                raise
        _copy(work, database)
    finally:
        for path in work.parent.glob(f"{work.name}*"):
            path.unlink()


def _upgrade(database: Path, *, shown: Path) -> None:
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"{SQLITE_PREFIX}{database}"]
    with waiting_for(f"mlflow db upgrade of {shown}"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{shown}: mlflow db upgrade fails ({lines[-1][:300]})")


def _data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes whenever somebody else has written to the database."""
    return int(connection.execute("pragma data_version").fetchone()[0])


def newer_than_installed() -> str:
    """Return what is said of a database that is ahead of the installed MLflow."""
    return f"MLflow's database was written by a newer MLflow than the installed {version('mlflow')}"


def revision_of(database: Path) -> str | None:
    """Return the revision that is written in the database; None where MLflow has not made its tables yet.

    Raises:
        UserError: The file cannot be read.
    """
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            if not connection.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchone():
                return None
            row = connection.execute("select version_num from alembic_version").fetchone()
    except sqlite3.Error as error:
        raise UserError(f"{database}: not a SQLite database that can be read ({error})") from error
    return str(row[0]) if row else None


def state_of(revision: str | None) -> State:
    """Return how a revision compares with those that the installed MLflow comes with."""
    # Half a second to import, which a store on a server need not pay.
    from alembic.script import ScriptDirectory

    if revision is None:
        return "current"
    found = importlib.util.find_spec("mlflow")
    assert found is not None
    assert found.origin is not None
    scripts = ScriptDirectory(Path(found.origin).parent / "store" / "db_migrations")
    if revision in scripts.get_heads():
        return "current"
    known = {script.revision for script in scripts.walk_revisions()}
    return "older" if revision in known else "newer"


def _copy(source: Path, target: Path) -> None:
    """Copy a database that others may have open, in one transaction."""
    try:
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
            read.backup(written)
    except sqlite3.Error as error:
        raise OSError(f"{target}: {error}") from error
