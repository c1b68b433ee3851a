"""A folder for temporary files whose path is short enough for sockets, and plain."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Linux takes 107 bytes for the path of a socket, other systems 103. Ray's own part of one is this; Python's is shorter.
LONGEST = 103 - len("/ray/session_2026-11-29_10-59-03_881325_4194304/sockets/plasma_store")
# Ray hands it on in command lines, which it takes apart itself.
_PLAIN = re.compile(r"[\w/.+@-]+", re.ASCII)
# Where a path is short, whatever the variables say.
SHORT = Path("/tmp")
_VARIABLES = ("RAY_TMPDIR", "TMPDIR")


@contextmanager
def short_temporary_folders() -> Iterator[None]:
    """Have ``TMPDIR`` and ``RAY_TMPDIR`` name short links to the folders that they name, where those are long or odd.

    Batch systems give long ones: Ray and Python's own servers of processes cannot make their sockets there. Where no
    link can be made either, the variables stay.
    """
    before = {name: os.environ[name] for name in _VARIABLES if needs_link(os.environ.get(name, ""))}
    links: list[Path] = []
    try:
        with suppress(OSError):
            for name, folder in before.items():
                links.append(Path(tempfile.mkdtemp(prefix="zs-", dir=SHORT), "t"))
                links[-1].symlink_to(os.path.abspath(folder))
                os.environ[name] = str(links[-1])
        if before:
            tempfile.tempdir = None
        yield
    finally:
        os.environ.update(before)
        if before:
            tempfile.tempdir = None
        for link in links:
            shutil.rmtree(link.parent, ignore_errors=True)


def needs_link(folder: str) -> bool:
    """Return whether a folder has no room for sockets in its path, or letters that Ray does not take."""
    return bool(folder) and (len(os.fsencode(os.path.abspath(folder))) > LONGEST or not _PLAIN.fullmatch(folder))
