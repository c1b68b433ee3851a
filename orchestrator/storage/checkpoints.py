"""Checkpoints of one cell: written whole or not at all, verified when read, and read without executing what is in them.

While a cell trains, its folder holds a file for each of the newest two points that a training can go on from, and one
for the best epoch; while it waits for the end of its rung, the newest and the best; afterwards the best weights and the
result. Each is what ``torch.save`` writes: a zip archive, whose checksums say whether every byte is still the one that
was written.
"""

from __future__ import annotations

import errno
import logging
import pickle
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from orchestrator.errors import first_line
from orchestrator.storage.atomic import remove_temporaries, written_whole
from orchestrator.storage.cell_folder import CellFolder, Point

logger = logging.getLogger(__name__)

# So many of the newest points are kept: should the last one be damaged, the one before it is there.
KEPT = 2
_ZIP_MAGIC = b"PK\x03\x04"
# What a flipped bit in a header makes zipfile, zlib and torch raise; zipfile documents only the first. OSError is a
# seek to before the file's begin (EINVAL).
_SIGNS_OF_DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)
# In torch's RuntimeError where there is no memory to read into.
_NO_MEMORY = "DefaultCPUAllocator"


class DamagedError(Exception):
    """A file whose bytes are not those that were written; names it."""


class Checkpoints:
    """The checkpoints of one cell; one process at a time writes them.

    Args:
        folder: Made by the first `save`.
    """

    def __init__(self, folder: CellFolder) -> None:
        self.folder = folder

    def save(self, point: Point, state: dict[str, Any], *, best_epoch: int | None) -> None:
        """Write the state at `point`; of the older ones, keep the newest and that of the best epoch.

        Raises:
            OSError: As `save`; everything that was there stays.
        """
        save(self.folder.point(point), state)
        # Newer ones are of a process that took over while this one was thought dead: damaged ones were removed before.
        older = [other for other in self.folder.points() if other <= point]
        kept = {*older[:KEPT], Point(best_epoch or 0)}
        for other in older:
            if other not in kept:
                self.folder.point(other).unlink(missing_ok=True)

    def keep(self, points: Collection[Point]) -> None:
        """Remove everything that a training goes on from but these."""
        for point in self.folder.points():
            if point not in points:
                self.folder.point(point).unlink(missing_ok=True)

    def newest_first(self) -> Iterator[tuple[Point, dict[str, Any]]]:
        """Yield the points that are whole, and their states. Damaged files are removed."""
        for point in self.folder.points():
            state = self.load(self.folder.point(point))
            if state is not None:
                yield point, state

    def load(self, path: Path) -> dict[str, Any] | None:
        """Return the content of a file of the folder; None if it is not there, or damaged: then it is removed."""
        try:
            return load(path)
        except DamagedError as error:
            logger.warning("%s: it is removed, and what was before it is used", self.folder.in_words(error))
            path.unlink(missing_ok=True)
            return None

    def finish(self, best: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep the best weights and the result in place of everything that a training goes on from.

        Raises:
            OSError: As `save`; the training can still be taken up.
        """
        save(self.folder.best, best)
        save(self.folder.result, result)
        self.forget_points()

    def forget_points(self) -> None:
        """Remove everything that a training goes on from."""
        self.keep(())

    def remove_temporaries(self) -> None:
        """Remove what writers that were killed left unfinished."""
        remove_temporaries(self.folder.path)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path`, whole or not at all (`orchestrator.storage.atomic`).

    Args:
        path: The file; its folder is made if need be.
        state: Tensors and plain Python values only, as ``torch.load(weights_only=True)`` accepts.

    Raises:
        OSError: The disk is full or not writable; the file that was there stays.
    """
    with written_whole(path) as file:
        _write(state, file)


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # Where a write fails, torch goes on to write the end of the archive, and complains of that instead.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def load(path: Path) -> dict[str, Any] | None:
    """Return what `save` wrote to `path`, or None if there is no such file.

    Raises:
        DamagedError: Its bytes are others than those that were written, or it holds what would have to be executed.
    """
    if not path.exists():
        return None
    with opened_sound(path) as file:
        try:
            # What no checksum covers, the table of contents, torch reads by itself, and more strictly.
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # Not torch's words: they end with how to execute it all the same.
            raise DamagedError(f"{path}: damaged (it holds more than tensors and plain values)") from error
    return state


@contextmanager
def opened_sound(path: Path) -> Iterator[BinaryIO]:
    """Yield a zip archive, open for reading, whose checksums say that it is whole.

    Raises:
        DamagedError: It is not; or what the block reads from it is not what it should be.
    """
    with opened_archive(path) as file:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedError(f"{path}: damaged (checksum of {damaged})")
        file.seek(0)
        yield file


@contextmanager
def opened_archive(path: Path) -> Iterator[BinaryIO]:
    """Yield a zip archive, open for reading; of what the block reads, zipfile compares the checksum.

    Raises:
        DamagedError: What the block reads from it is not what it should be.
    """
    with path.open("rb") as file:
        # Without it torch would take the file for one of its old format.
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise DamagedError(f"{path}: damaged (it does not begin as such a file does)")
        file.seek(0)
        try:
            yield file
        except _SIGNS_OF_DAMAGE as error:
            if _NO_MEMORY in str(error) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
                raise
            raise DamagedError(f"{path}: damaged ({first_line(error)})") from error
