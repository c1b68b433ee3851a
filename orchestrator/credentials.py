"""Keeps credentials out of experiment files, and out of all that is shown, logged or tracked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from orchestrator.environment import TRACKING_URI
from orchestrator.errors import UserError

NO_CREDENTIALS = "no credentials: they come from the environment or from files of their own"
PLACES = (
    "Remove it. MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, or "
    "~/.mlflow/credentials; PostgreSQL reads PGPASSWORD or ~/.pgpass; Ray reads RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or "
    "~/.ray/auth_token."
)
OF_NO_CREDENTIAL = "names in which there is no token, key, pass or other word for a credential: no file may have one"
_WORDS = (
    r"passw|passphrase|pwd|secret|token|credential|bearer|authori[sz]ation|connection[_.-]?string|"
    r"(?:api|access|account|auth|private)[_.-]?key"
)
_NAME = re.compile(rf"{_WORDS}|(?:^|[_.-]|ssh)(?:auth|pass|pw)$", re.IGNORECASE)
_MENTION = re.compile(rf"{_WORDS}|\b(?:auth|pass|pw)\b", re.IGNORECASE)
# Variables that say where a secret or a shell is.
_PLACE_NAME = re.compile(r"_(?:PATH|FILE|DIR)$|^(?:OLD)?PWD$", re.IGNORECASE)
# A shorter value stands in too many words for hiding it to be of use.
_SHORTEST_HIDDEN = 8

# The authority of an address, `//user:password@host`, up to its last `@`: a password may hold one, and a slash, too. A
# number after the colon is a port. What begins with three slashes is a path.
_PASSWORD = r"[^\s/@:]*:(?!\d+(?:[/\s]|$))\S*@"
_AUTHORITY = r"(?<!/)//(?!/)"
_WITH_PASSWORD = re.compile(_AUTHORITY + _PASSWORD)
_USER = re.compile(rf"{_AUTHORITY}(?:{_PASSWORD}|[^\s/]*@)")
_PARAMETER = re.compile(rf"([?&;][\w.-]*(?:{_WORDS})[\w.-]*=)[^&;\s'\"]+", re.IGNORECASE)
_HEADER = re.compile(r"\b(Basic|Bearer) [\w+/=.~-]{8,}")


def is_secret_name(name: str) -> bool:
    """Return whether a key or variable of this name holds a credential."""
    return _NAME.search(name) is not None


def mentions_secret(text: str) -> bool:
    """Return whether `text`, of unknown form, may hold a credential."""
    return _MENTION.search(text) is not None


def has_password(uri: str) -> bool:
    """Return whether an address holds a password; the user of a web address counts as one, since it may be a token."""
    return (
        _WITH_PASSWORD.search(uri) is not None
        or _PARAMETER.search(uri) is not None
        or (uri.lower().startswith("http") and _USER.search(uri) is not None)
    )


def without_secrets(text: str) -> str:
    """Return `text` as it may be shown.

    The users and passwords of addresses are left out, and what a header authorizes with, and the values of all
    environment variables that are named like a credential.
    """
    text = _USER.sub("//***@", text)
    text = _PARAMETER.sub(r"\1***", text)
    text = _HEADER.sub(r"\1 ***", text)
    for value in sorted(_hidden(os.environ), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _hidden(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if len(value) >= _SHORTEST_HIDDEN and is_secret_name(name) and not _PLACE_NAME.search(name):
            yield value


def take_secrets(data: object) -> list[str]:
    """Remove each entry of `data` that is named like a credential, at any depth, and return the dotted keys of them."""
    found: list[str] = []
    pending: list[tuple[str, object]] = [("", data)]
    seen: set[int] = set()
    for at, node in pending:
        # An alias in YAML may stand in many places, also inside of what it stands for.
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            named = {key: f"{at}.{key}" if at else str(key) for key in node}
            for key in [key for key in node if is_secret_name(str(key))]:
                del node[key]
                found.append(named[key])
            pending += [(named[key], value) for key, value in node.items()]
        else:
            pending += [(f"{at}[{index}]", item) for index, item in enumerate(node)]
    return sorted(found)


def moved_to_environment(uri: str) -> str:
    """Return a web address without its user and password, which MLflow from now on reads from its own variables.

    MLflow prints the address of every run that ends, and of every request that fails.

    Raises:
        UserError: It is none, or there is a user without a password, which MLflow would not send.
    """
    if not uri.lower().startswith(("http://", "https://")):
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise UserError(
            f"{TRACKING_URI} = {without_secrets(uri)}: no web address ({error})",
            remedy="mend it; in a user and a password, write [ as %5B, ] as %5D and @ as %40",
        ) from error
    if "@" not in parts.netloc:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    if not name or not password:
        raise UserError(
            f"{TRACKING_URI} = {without_secrets(uri)}: it has a user or a password, and needs both",
            remedy="add what is missing, or remove it and set MLFLOW_TRACKING_TOKEN",
        )
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(name)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    return parts._replace(netloc=host).geturl()
