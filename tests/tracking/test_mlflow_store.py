"""What an error of MLflow's means for what waits to be delivered."""

from __future__ import annotations

import errno
import socket
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import until
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from sqlalchemy.exc import OperationalError

from orchestrator.errors import TrackingError, UserError
from orchestrator.tracking.errors import can_pass, is_busy
from orchestrator.tracking.store import Store


def database_error(provoke: Callable[[sqlite3.Connection], object]) -> Exception:
    """A real error of SQLite's, as it comes through SQLAlchemy and MLflow."""
    connection = sqlite3.connect(":memory:")
    try:
        provoke(connection)
    except sqlite3.Error as error:
        refusal = MlflowException(str(error), TEMPORARILY_UNAVAILABLE)
        refusal.__cause__ = OperationalError("INSERT", {}, error)
        return refusal
    raise AssertionError("it was no error")


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("pragma max_page_count = 1")
    connection.execute("create table metrics (value)")


def test_who_waits_for_a_server_that_takes_calls_and_gives_no_answer_says_so(said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        store = pool.submit(Store, address, origin="tracking.uri")
        until(lambda: bool(said))
        server.close()
        with pytest.raises(UserError, match="MLflow does not answer"):
            store.result()
    assert said[0].startswith(f"waiting for MLflow at {address} to answer (0:00:0")


class StoreError(Exception):
    """As the libraries of artifact stores have them: of no common base."""


@pytest.mark.parametrize(
    ("error", "passes", "busy"),
    [
        (database_error(fill), True, True),
        (database_error(lambda connection: connection.execute("select * from metrics")), True, False),
        (OSError(errno.ENOSPC, "no space left on the device"), True, True),
        (ConnectionError("nobody answers"), True, False),
        (StoreError("slow down"), True, False),
        (MlflowException("no such metric", INVALID_PARAMETER_VALUE), False, False),
        (TrackingError("another sweep has finished it meanwhile"), False, False),
        (KeyError("facts"), False, False),
    ],
    ids=lambda value: f"{type(value).__name__}: {value}" if isinstance(value, Exception) else None,
)
def test_what_is_waited_for(error: Exception, passes: bool, busy: bool) -> None:
    assert (can_pass(error), is_busy(error)) == (passes, busy)
