"""The connection to an MLflow store: what is wrong with it is said at once, and it is searched to the last page."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from orchestrator.credentials import moved_to_environment, without_secrets
from orchestrator.environment import TRACKING_URI, set_for
from orchestrator.errors import TrackingError, UserError
from orchestrator.tracking.database import check_can_make, check_schema
from orchestrator.tracking.drivers import Drivers
from orchestrator.tracking.errors import is_refusal, kind_and_message, remedy_of_lost_answer, remedy_of_no_answer
from orchestrator.uris import IN_ADDRESSES, database_of, is_server, is_sqlite, names_itself
from orchestrator.waiting import waiting_for

logger = logging.getLogger(__name__)

PAGE_SIZE = 1000
# Servers, databases, and Databricks; MLflow's folders of files are read no more.
SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")


class Store:
    """An MLflow store that answers.

    Args:
        uri: Tracking URI; a SQLite file in it must be absolute.
        origin: What the user gave `uri` in.

    Attributes:
        uri: Tracking URI; a database's may hold a password.
        client: MLflow's own. MLflow's functions that take no client use the same store, the one opened last.
        shown_uri: `uri` without credentials.
        drivers: Those that are at work in it.

    Raises:
        UserError: Nobody answers at `uri`, within 30 s.
    """

    def __init__(self, uri: str, *, origin: str) -> None:
        set_for("store")
        uri = moved_to_environment(uri)
        self.uri, self.shown_uri = uri, without_secrets(uri)
        self.drivers = Drivers(self.search)
        _check_scheme(uri, origin)
        _check_sqlite(uri, origin)
        _set_uri(uri)
        try:
            with waiting_for(f"MLflow at {self.shown_uri} to answer"):
                self.client = MlflowClient(uri)
                # This makes the tables of a new SQLite store, once: two writers at a time would fail in it.
                self.client.search_experiments(max_results=1)
        except Exception as error:
            raise UserError(
                f"{origin} = {self.shown_uri}: MLflow {'refuses' if is_refusal(error) else 'does not answer'} "
                f"({kind_and_message(error)})",
                remedy=remedy_of_no_answer(error, origin=origin),
            ) from error

    @property
    def is_server(self) -> bool:
        """Whether it is a server, and no database."""
        return is_server(self.uri)

    @property
    def database(self) -> Path | None:
        """The file of a SQLite store."""
        return database_of(self.uri)

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
        """Raise TrackingError if MLflow does not answer within it, or refuses; say so while it takes long."""
        try:
            with waiting_for(f"MLflow at {self.shown_uri}"):
                yield
        except MlflowException as error:
            raise TrackingError(
                f"MLflow at {self.shown_uri}: {kind_and_message(error)}", remedy=remedy_of_lost_answer(error)
            ) from error

    def experiments(self, view: int = ViewType.ACTIVE_ONLY) -> dict[str, str]:
        """Return the names of the experiments by their ids; those that were deleted, too, if `view` says so."""
        found = _every(partial(self.client.search_experiments, view))
        return {experiment.experiment_id: experiment.name for experiment in found}

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
            experiment_ids = list(self.experiments(view))
        return _every(partial(self.client.search_runs, experiment_ids, query, view))


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
    before = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    os.environ.pop(TRACKING_URI, None)
    if before is not None:
        os.environ[TRACKING_URI] = before


def _check_scheme(uri: str, origin: str) -> None:
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme not in SCHEMES:
        raise UserError(
            f"{origin} = {without_secrets(uri)}: no address of an MLflow store",
            allowed=f"{', '.join(SCHEMES)}, e.g. http://HOST:5000 or sqlite:////PATH",
            remedy=f"mend it, or leave {origin} out: SQLite in storage",
        )


def _check_sqlite(uri: str, origin: str) -> None:
    """Refuse a SQLite file that cannot be opened at once: MLflow would try for minutes, or make a folder for it."""
    if not is_sqlite(uri):
        return
    path = database_of(uri)
    if path is None:
        # Another folder would be another, empty store.
        raise UserError(f"{origin} = {uri}: its path is not absolute", remedy="write sqlite:////PATH")
    if not names_itself(path):
        raise UserError(f"{origin} = {uri}: it may mean another file", allowed=IN_ADDRESSES, remedy="name another")
    check_can_make(path, origin)
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma schema_version")
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"{origin} = {uri}: {path} is no SQLite database that can be opened ({error})",
            remedy="mend or move it, or name another with -o storage=FOLDER or -o tracking.uri=URI",
        ) from error
    check_schema(path)
