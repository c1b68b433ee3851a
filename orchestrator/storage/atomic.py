"""Writing whole: a reader sees the old file or the new one, never a part.

A process that is killed while it writes leaves a hidden temporary, which nothing reads; its name says whose it was.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import psutil

# What was written this recently may be of a writer at work, on another machine or without a lock.
QUIET_S = 3600
_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")


def temporary_of(path: Path) -> Path:
    """Return where this process prepares what is to be `path`, in the same folder.

    A name of its own: a process that a cluster took for dead may still be writing to the same folder.
    """
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path`, through a loss of power too, when the block ends without an error.

    Args:
        path: The file; its folder is made if need be.

    Raises:
        OSError: The disk is full or not writable; the file that was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_of(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        _named(error, temporary, path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _named(error: OSError, temporary: Path, path: Path) -> None:
    """Have an error say which file it is of: of a write the system does not, and nobody knows the temporary."""
    is_of_temporary = isinstance(error.filename, str) and Path(error.filename).is_relative_to(temporary)
    if error.errno is not None and (error.filename is None or is_of_temporary):
        error.filename = str(path)


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield a folder that becomes `folder` when the block ends; one that is there by then is left as it is."""
    temporary = temporary_of(folder)
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        try:
            temporary.rename(folder)
        except OSError:
            # Another process was faster: what it wrote stays.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def folder_replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder`, whatever is in that, if the block ends without an error.

    Raises:
        OSError: The disk is full or not writable; the folder that was there stays.
    """
    temporary = temporary_of(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    new = temporary / "new"
    new.mkdir(parents=True)
    try:
        yield new
        if folder.exists():
            folder.rename(temporary / "old")
        try:
            new.rename(folder)
        except OSError:
            if (temporary / "old").exists():
                (temporary / "old").rename(folder)
            raise
    except OSError as error:
        _named(error, temporary, folder)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_whole(path: Path) -> None:
    """Remove a file, or a folder as a whole: it has another name before its first file is gone."""
    if not path.is_dir():
        path.unlink()
        return
    doomed = temporary_of(path)
    path.rename(doomed)
    shutil.rmtree(doomed)


def remove_temporaries(folder: Path) -> None:
    """Remove what is unfinished in `folder`, whoever writes it; the first versions named theirs without a process."""
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Return whether `path` has the name of something unfinished."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_abandoned(path: Path) -> bool:
    """Return whether `path` is what a writer that is gone left of something that it did not finish."""
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return False
    is_of_here = path.name.endswith(f".{socket.gethostname()}.{found[1]}.tmp")
    return (is_of_here and not psutil.pid_exists(int(found[1]))) or not is_young(path)


def is_young(path: Path, *, within_s: float = QUIET_S) -> bool:
    """Return whether `path`, or anything below it, was written to within the last hour, or so many seconds."""
    newest = max(entry.stat().st_mtime for entry in (path, *path.rglob("*")))
    return time.time() - newest < within_s


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a loss of power, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
