"""Whether the schema of MLflow's SQLite database is that of the installed MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from orchestrator.doctor.finding import Finding, Line
from orchestrator.tracking import NEWER_REMEDY, migrate, newer_than_installed, revision_of, state_of


def examine_schema(database: Path) -> Iterator[Line]:
    """Find a schema that is older or newer than the installed MLflow's; a file that is not there is neither."""
    revision = revision_of(database)
    state = state_of(revision)
    if state == "older":
        backup = _unused(database.with_name(f"{database.name}.{revision}.bak"))
        yield Finding(
            what=f"MLflow's database was written by an older MLflow than the installed {version('mlflow')}",
            where=f"{database}: schema {revision}",
            remedy=f"--fix copies it to {backup.name} beside it and runs mlflow db upgrade",
            mend=lambda: migrate(database, backup),
        )
    elif state == "newer":
        yield Finding(what=newer_than_installed(), where=f"{database}: schema {revision}", remedy=NEWER_REMEDY)


def _unused(path: Path) -> Path:
    """Return `path`, or with a number behind it if there is such a file."""
    number = 1
    candidate = path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}.{number}")
    return candidate
