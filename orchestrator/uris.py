"""Addresses of MLflow stores: what kind of store they name, and which file."""

from __future__ import annotations

import re
from pathlib import Path

# In an address, what stands behind the first begins a query, and the second stands for another letter; whether it does
# so in that of a SQLite file depends on the version of SQLAlchemy.
_QUERY, _ESCAPE = "?", re.compile("%[0-9A-Fa-f]{2}")
IN_ADDRESSES = "a path without ? and without % before two hexadecimal digits, which mean something else in an address"

SQLITE_PREFIX = "sqlite:///"
# Those that say themselves where artifacts go; a database leaves it to whoever writes to it.
SERVERS = ("http", "https", "databricks")


def is_server(uri: str) -> bool:
    """Return whether a tracking URI names a server, and no database."""
    return uri.partition(":")[0].lower() in SERVERS


def is_sqlite(uri: str) -> bool:
    """Return whether a tracking URI names a SQLite file, with whichever driver."""
    return uri.partition(":")[0].partition("+")[0].lower() == "sqlite"


def database_of(uri: str) -> Path | None:
    """Return the SQLite file of a tracking URI with an absolute path; None for another store."""
    return Path(uri.removeprefix(SQLITE_PREFIX).partition("?")[0]) if uri.startswith(f"{SQLITE_PREFIX}/") else None


def names_itself(path: Path) -> bool:
    """Return whether the address of a SQLite file at `path` means this file to everybody."""
    return _QUERY not in str(path) and _ESCAPE.search(str(path)) is None
