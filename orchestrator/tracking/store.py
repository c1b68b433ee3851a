"""The connection to an MLflow store: what is wrong with it is said at once, and it is searched to the last page."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    ABORTED,
    INTERNAL_ERROR,
    REQUEST_LIMIT_EXCEEDED,
    RESOURCE_EXHAUSTED,
    TEMPORARILY_UNAVAILABLE,
    ErrorCode,
)

from orchestrator.credentials import URI_VARIABLE, moved_to_environment, without_secrets
from orchestrator.errors import TrackingError, UserError
from orchestrator.tracking.database import check_place, check_schema
from orchestrator.uris import database_of, is_sqlite

logger = logging.getLogger(__name__)

# A reply that may be another one later.
PASSING_CODES = frozenset(
    ErrorCode.Name(code)
    for code in (INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE, REQUEST_LIMIT_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED)
)
# A mistake of ours, or a refusal.
FINAL_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, TrackingError, TypeError, ValueError)
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
# MLflow's defaults (7 retries of 120 s) would block for minutes when a server does not answer.
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
PAGE_SIZE = 1000
# Servers, databases, and Databricks; MLflow's folders of files are read no more.
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")


class Store:
    """An MLflow store that answers.

    Args:
        uri: Tracking URI; a SQLite file in it must be absolute.
        origin: What the user gave `uri` in.

    Attributes:
        client: MLflow's own. MLflow's functions that take no client use the same store, the one opened last.
        shown_uri: `uri` without credentials.

    Raises:
        UserError: Nobody answers at `uri`, within 30 s.
    """

    def __init__(self, uri: str, *, origin: str) -> None:
        for name, value in HTTP_LIMITS.items():
            os.environ.setdefault(name, value)
        uri = moved_to_environment(uri)
        self.shown_uri = without_secrets(uri)
        _check_scheme(uri, origin)
        _check_sqlite(uri, origin)
        _set_uri(uri)
        try:
            self.client = MlflowClient(uri)
            # This makes the tables of a new SQLite store, once: two writers at a time would fail in it.
            self.client.search_experiments(max_results=1)
        except Exception as error:
            raise UserError(
                f"{origin} = {self.shown_uri}: MLflow does not answer ({first_line(error)})\n"
                f"  remedy:  start the server, mend the address, or leave {origin} out: SQLite in storage"
            ) from error

    def answers(self) -> bool:
        """Return whether MLflow answers at all."""
        try:
            self.client.search_experiments(max_results=1)
        except Exception:
            logger.exception("MLflow does not answer")
            return False
        return True

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Raise TrackingError if MLflow does not answer within it, or refuses."""
        try:
            yield
        except MlflowException as error:
            raise TrackingError(f"MLflow at {self.shown_uri}: {first_line(error)}") from error

    def search(
        self, query: str, experiment_ids: list[str] | None = None, *, view: int = ViewType.ACTIVE_ONLY
    ) -> Iterator[Run]:
        """Find runs.

        Args:
            query: In MLflow's language.
            experiment_ids: Of these experiments; None for all.
            view: Those that were deleted, too?
        """
        if experiment_ids is None:
            experiments = _every(partial(self.client.search_experiments, view))
            experiment_ids = [experiment.experiment_id for experiment in experiments]
        return _every(partial(self.client.search_runs, experiment_ids, query, view))


def can_pass(error: Exception) -> bool:
    """Return whether what raised `error` may succeed later: no answer, a locked database, a full disk.

    What an artifact store's own library raises counts as such: those errors have no common base.
    """
    if isinstance(error, MlflowException):
        return error.error_code in PASSING_CODES
    return not isinstance(error, FINAL_ERRORS)


def is_busy(error: Exception) -> bool:
    """Return whether a database is locked or its disk is full, which whoever only reads does not notice."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = getattr(error.__cause__, "orig", None)
    # The low byte is the kind of error.
    return isinstance(said, sqlite3.Error) and getattr(said, "sqlite_errorcode", 0) & 0xFF in BUSY_CODES


def message_of(error: BaseException) -> str:
    """Return the first line of what an error says, without credentials; its kind if it says nothing."""
    # Before what the database said, SQLAlchemy puts advice to programmers.
    said = getattr(error.__cause__, "orig", None) or error
    return (without_secrets(str(said)).strip().splitlines() or [type(error).__name__])[0][:300]


def first_line(error: BaseException) -> str:
    """Return the kind of an error and `message_of` it."""
    kind, message = type(error).__name__, message_of(error)
    return message if message == kind else f"{kind}: {message}"


def _every(search: Callable[..., Any]) -> Iterator[Any]:
    """Return what `search` finds, page by page."""
    token = None
    while True:
        page = search(max_results=PAGE_SIZE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _set_uri(uri: str) -> None:
    """Have MLflow's functions that take no client use `uri`; MLflow would also tell it to Ray and all its processes."""
    before = os.environ.get(URI_VARIABLE)
    mlflow.set_tracking_uri(uri)
    os.environ.pop(URI_VARIABLE, None)
    if before is not None:
        os.environ[URI_VARIABLE] = before


def _check_scheme(uri: str, origin: str) -> None:
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme not in SCHEMES:
        raise UserError(
            f"{origin} = {without_secrets(uri)}: no address of an MLflow store\n"
            f"  allowed: {', '.join(SCHEMES)}, e.g. http://HOST:5000 or sqlite:////PATH\n"
            f"  remedy:  mend it, or leave {origin} out: SQLite in storage"
        )


def _check_sqlite(uri: str, origin: str) -> None:
    """Refuse a SQLite file that cannot be opened at once: MLflow would try for minutes, or make a folder for it."""
    if not is_sqlite(uri):
        return
    path = database_of(uri)
    if path is None:
        # Another folder would be another, empty store.
        raise UserError(f"{origin} = {uri}: its path is not absolute\n  remedy:  write sqlite:////PATH")
    check_place(path, origin)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma schema_version")
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"{origin} = {uri}: {path} is no SQLite database that can be opened ({error})\n"
            "  remedy:  mend or move it, or name another with -o storage=FOLDER or -o tracking.uri=URI"
        ) from error
    check_schema(path)
