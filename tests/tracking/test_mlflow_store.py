"""What an error of MLflow's means for what waits to be delivered."""

from __future__ import annotations

import errno
import http.server
import socket
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from commands import until
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from sqlalchemy.exc import OperationalError

from orchestrator.errors import TrackingError, UserError
from orchestrator.objects import ObjectsError
from orchestrator.tracking.errors import can_pass, is_busy, kind_and_message, message_of, remedy_of_lost_answer
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


@pytest.mark.parametrize(
    ("status", "text", "verb", "remedy"),
    [
        (401, "You are not authenticated", "refuses", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (
            403,
            "Invalid Host header - possible attack",
            "refuses",
            "start the server with --allowed-hosts",
        ),
        (403, "Permission denied", "refuses", "ask who keeps the server"),
        (404, "<!doctype html>", "refuses", "write the path behind the address"),
        (400, "no such page", "does not answer", "start the server, or mend the address"),
    ],
)
def test_what_a_server_refuses_is_said_with_what_helps(status: int, text: str, verb: str, remedy: str) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(UserError) as refused:
            Store(address, origin="tracking.uri")
        server.shutdown()
    assert str(refused.value).startswith(f"tracking.uri = {address}: MLflow {verb} (")
    assert refused.value.remedy.startswith(remedy)
    assert refused.value.remedy.endswith("or leave tracking.uri out: SQLite in storage")


def serving(status: int) -> type[http.server.BaseHTTPRequestHandler]:
    """As a proxy answers whose server is away."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return Handler


@pytest.mark.parametrize(
    ("kind", "why"),
    [("gone", "Connection refused"), ("silent", "timed out"), ("behind a proxy", "too many 503 error responses")],
)
def test_a_server_that_went_away_is_named_with_the_reason_and_what_helps(
    monkeypatch: pytest.MonkeyPatch, kind: str, why: str
) -> None:
    """No exception of the libraries that have asked is shown: they are long, and cut off before the reason."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving(503)) as server, ExitStack() as stack:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        port = server.server_port
        if kind != "behind a proxy":
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = silent.getsockname()[1]
            if kind == "gone":
                silent.close()
        with pytest.raises(MlflowException) as lost:
            MlflowClient(f"http://127.0.0.1:{port}").search_experiments()
    assert message_of(lost.value) == kind_and_message(lost.value) == f"127.0.0.1:{port}: {why}"
    assert remedy_of_lost_answer(lost.value).startswith("start the server again, or mend the way to it")
    assert can_pass(lost.value)


class StoreError(Exception):
    """As the libraries of artifact stores have them: of no common base."""


@pytest.mark.parametrize(
    ("error", "passes", "busy"),
    [
        (database_error(fill), True, True),
        (database_error(lambda connection: connection.execute("select * from metrics")), True, False),
        (OSError(errno.ENOSPC, "no space left on the device"), True, True),
        (ObjectsError("storage = s3://b: nobody answers", can_pass=True), True, True),
        (ObjectsError("storage = s3://b: no permission"), False, False),
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
