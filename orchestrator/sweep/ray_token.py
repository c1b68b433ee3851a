"""The token of the cluster that is started here: whoever reaches a cluster without one can run code in it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from orchestrator.environment import RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH
from orchestrator.errors import UserError

TOKEN_REMEDY = (
    f"mend the token: Ray takes the first of {RAY_AUTH_TOKEN}, the file of {RAY_AUTH_TOKEN_PATH}, and "
    "~/.ray/auth_token; where there is none, one is made"
)


def is_about_token(said: str) -> bool:
    """Return whether Ray complains of a token."""
    return any(word in said.lower() for word in ("token", "authenticat"))


def home_token() -> Path:
    """Return the file where Ray looks for a token that no variable gives.

    Raises:
        OSError: There is no home folder.
    """
    try:
        return Path.home() / ".ray" / "auth_token"
    except RuntimeError as error:  # HOME is not set, and the user is in no list
        raise OSError(str(error)) from error


def token_note() -> str:
    """Return what is to be said of where the token will be; nothing if it is a variable or the home folder.

    Raises:
        UserError: A variable names a file that cannot be read.
    """
    return _told(_lacking())


def give_token() -> str:
    """Have Ray find a token, made anew if there is none; return what is to be said about it, as `token_note`."""
    lacking = _lacking()
    if not lacking and not _in_variable():
        try:
            _keep_private(home_token())
        except OSError as error:  # a full disk
            lacking = str(error)
    if lacking:
        os.environ[RAY_AUTH_TOKEN] = secrets.token_hex(32)
    return _told(lacking)


def _told(lacking: str) -> str:
    return f"Ray's token is in no file, this sweep alone knows it: {lacking}" if lacking else ""


def _in_variable() -> bool:
    return bool(os.environ.get(RAY_AUTH_TOKEN) or os.environ.get(RAY_AUTH_TOKEN_PATH))


def _lacking() -> str:
    """Return why the token cannot lie in the home folder; empty if it can, or if a variable gives it."""
    if _in_variable():
        if not os.environ.get(RAY_AUTH_TOKEN):
            _check_file(os.environ[RAY_AUTH_TOKEN_PATH])
        return ""
    try:
        token = home_token()
        nearest = next(path for path in (token, *token.parents) if os.path.lexists(path))
        if nearest == token and not token.read_bytes().strip():
            return f"{token} is empty"
        if nearest != token and not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            return f"{nearest} cannot be written to"
    except OSError as error:
        return str(error)
    return ""


def _keep_private(token: Path) -> None:
    """Make the file if need be, readable for nobody else: Ray would let every user of the machine read it."""
    token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        with suppress(OSError):  # somebody else has made it, for this user
            token.chmod(0o600)


def _check_file(named: str) -> None:
    try:
        empty = not Path(named).read_bytes().strip()
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        reason = "it is empty"
        if not empty:
            return
    raise UserError(
        f"{RAY_AUTH_TOKEN_PATH} = {named}: no token can be read there ({reason})",
        remedy="mend it, or unset the variable: then a token is made in ~/.ray/auth_token",
    )
