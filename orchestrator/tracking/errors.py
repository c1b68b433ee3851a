"""What an error of an MLflow store means, and what it says."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests  # it comes with MLflow, which asks servers with it
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    ABORTED,
    INTERNAL_ERROR,
    REQUEST_LIMIT_EXCEEDED,
    RESOURCE_EXHAUSTED,
    TEMPORARILY_UNAVAILABLE,
    ErrorCode,
)

from orchestrator.credentials import without_secrets
from orchestrator.environment import TRACKING_CREDENTIALS
from orchestrator.errors import ExplainedError, TrackingError, first_line
from orchestrator.objects import ObjectsError
from orchestrator.storage import CellFolder

# A reply that may be another one later.
PASSING_CODES = frozenset(
    ErrorCode.Name(code)
    for code in (INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE, REQUEST_LIMIT_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED)
)
# A mistake of ours, or a refusal.
FINAL_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, TrackingError, TypeError, ValueError)
# What helps where a server answers with this status, if nothing else is known.
_REMEDIES: dict[int | None, str] = {
    401: f"set {TRACKING_CREDENTIALS[0]} and {TRACKING_CREDENTIALS[1]} (or {TRACKING_CREDENTIALS[2]}), or write "
    "~/.mlflow/credentials; only where zetasweep is called, no worker needs them",
    403: "ask who keeps the server to let this user look and write",
    404: "write the path behind the address that the server is reached by: that of --static-prefix, or a proxy's",
}
# What is raised where nobody has answered, or a proxy alone.
_UNANSWERED = (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError)
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)


class UntellableError(ExplainedError):
    """What a cell left cannot be told to MLflow, whatever MLflow says: it is missing, damaged, or not this cell's."""


@contextmanager
def own_side(folder: CellFolder, what: str, *, remedy: str) -> Iterator[None]:
    """Tell what goes wrong within, where MLflow has no part, from what MLflow refuses; a full disk is waited for, and a
    bucket says itself what is wrong with it.

    Args:
        folder: Of a finished cell, with its best weights.
        what: Cannot be done with them.
        remedy: What helps, whatever the reason is.

    Raises:
        UntellableError: Something has gone wrong.
    """
    try:
        yield
    except (UntellableError, ObjectsError):
        raise
    except Exception as error:
        if is_busy(error):
            raise
        told = f"{folder.shown('best.pt')}: {what} ({folder.in_words(kind_and_message(error))})"
        raise UntellableError(told, remedy=remedy) from error


def can_pass(error: Exception) -> bool:
    """Return whether what raised `error` may succeed later: no answer, a locked database, a full disk.

    What an artifact store's own library raises counts as such: those errors have no common base.
    """
    if isinstance(error, MlflowException):
        return error.error_code in PASSING_CODES
    if isinstance(error, ObjectsError):
        return error.can_pass
    return not isinstance(error, (*FINAL_ERRORS, UntellableError))


def is_refusal(error: Exception) -> bool:
    """Return whether a server has answered, and does not do what it was asked for."""
    return isinstance(error, MlflowException) and error.get_http_status_code() in _REMEDIES


def remedy_of_no_answer(error: Exception, *, origin: str) -> str:
    """Return what helps where a store cannot be used that the user named in `origin`."""
    otherwise = f"or leave {origin} out: SQLite in storage"
    status = error.get_http_status_code() if isinstance(error, MlflowException) else None
    if status == 403 and "host" in str(error).lower():
        return f"start the server with --allowed-hosts, and this address as it is written here among them\n{otherwise}"
    return f"{_REMEDIES.get(status, 'start the server, or mend the address')}\n{otherwise}"


def has_no_room(error: Exception) -> bool:
    """Return whether this machine is short of disk, e.g. for temporary files, which a model needs, or of memory."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)


def is_busy(error: Exception) -> bool:
    """Return whether a database is locked or its disk is full, which whoever only reads does not notice; or a bucket
    does not answer, which MLflow knows nothing of.
    """
    if has_no_room(error) or (isinstance(error, ObjectsError) and error.can_pass):
        return True
    said = getattr(error.__cause__, "orig", None)
    # The low byte is the kind of error.
    return isinstance(said, sqlite3.Error) and getattr(said, "sqlite_errorcode", 0) & 0xFF in BUSY_CODES


def remedy_of_lost_answer(error: Exception) -> str:
    """Return what helps where a store that has answered before does not any more, or refuses."""
    if (status := error.get_http_status_code() if isinstance(error, MlflowException) else None) in (401, 403):
        return _REMEDIES[status]
    if _silence(error) is None:
        return ""
    return "start the server again, or mend the way to it; what it lacks waits in storage, and the same command goes on"


def _silence(error: BaseException) -> str | None:
    """Return which server has not answered, and why; None if one has, or none was asked."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    asked = next((each for each in causes if isinstance(each, _UNANSWERED)), None)
    if asked is None:
        return None
    why = getattr(causes[-1], "strerror", None) or str(causes[-1]) or type(causes[-1]).__name__
    url = urlsplit(getattr(asked.request, "url", None) or "")
    return f"{url.hostname or 'the server'}{f':{url.port}' if url.port else ''}: {why}"


def message_of(error: BaseException) -> str:
    """Return the first line of what an error says, without credentials; its kind if it says nothing."""
    if (silence := _silence(error)) is not None:
        return first_line(without_secrets(silence), at_most=300)
    # Before what the database said, SQLAlchemy puts advice to programmers.
    said = getattr(error.__cause__, "orig", None) or error
    # Cut off later: half a credential would not be found.
    return first_line(without_secrets(str(said)).strip() or type(error).__name__, at_most=300)


def kind_and_message(error: BaseException) -> str:
    """Return the kind of an error and `message_of` it."""
    kind, message = type(error).__name__, message_of(error)
    return message if message == kind or _silence(error) is not None else f"{kind}: {message}"
