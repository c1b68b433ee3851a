"""Checkpoints of one cell: written whole or not at all, verified when read, and read without executing what is in them.

While a cell trains, its folder holds a file for each of the newest two points that a training can go on from, and one
for the best epoch; afterwards the best weights and the result. Each is what ``torch.save`` writes: a zip archive, whose
checksums say whether every byte is still the one that was written.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import re
import shutil
import socket
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

logger = logging.getLogger(__name__)

# The weights of the best epoch, and their epoch: all that a finished cell keeps.
BEST = "best.pt"
# History and result of a finished cell, until MLflow has them.
RESULT = "result.pt"
KEPT = 2
_NAME = re.compile(r"(\d{5,})-(\d{8,})\.pt")
_ZIP_MAGIC = b"PK\x03\x04"
# What a flipped bit in a header makes zipfile, zlib and torch raise; zipfile documents only the first. OSError is a
# seek to before the file's begin (EINVAL).
_SIGNS_OF_DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)
# In torch's RuntimeError where there is no memory to read into.
_NO_MEMORY = "DefaultCPUAllocator"


class DamagedError(Exception):
    """A file whose bytes are not those that were written; names it."""


@dataclass(frozen=True, order=True)
class Point:
    """How far a training is.

    Attributes:
        epoch: Finished epochs.
        step: Optimizer steps of the next one that are done.
    """

    epoch: int
    step: int = 0

    @property
    def file_name(self) -> str:
        """Sorts as points do, up to epoch 99,999."""
        return f"{self.epoch:05d}-{self.step:08d}.pt"


class Checkpoints:
    """The folder of one cell; one process at a time writes to it.

    Args:
        folder: Made by the first `save`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def points(self) -> list[Point]:
        """Return what a training could go on from, the newest first; whether it is whole is not looked at."""
        matches = [_NAME.fullmatch(path.name) for path in self.folder.glob("*.pt")]
        return sorted((Point(int(found[1]), int(found[2])) for found in matches if found), reverse=True)

    def save(self, point: Point, state: dict[str, Any], *, best_epoch: int | None) -> None:
        """Write the state at `point`; of the older ones, keep the newest and that of the best epoch.

        Raises:
            OSError: As `save`; everything that was there stays.
        """
        save(self.folder / point.file_name, state)
        # Newer ones are of a process that took over while this one was thought dead: damaged ones were removed before.
        points = [other for other in self.points() if other <= point]
        newest = points[:KEPT]
        for other in points:
            if other not in newest and other != Point(best_epoch or 0):
                (self.folder / other.file_name).unlink(missing_ok=True)

    def load_newest(self) -> tuple[Point, dict[str, Any]] | None:
        """Return the newest point that is whole, and its state; None if there is none. Damaged files are removed."""
        for point in self.points():
            state = self.load(point.file_name)
            if state is not None:
                return point, state
        return None

    def load(self, name: str) -> dict[str, Any] | None:
        """Return the content of a file; None if it is not there, or damaged: then it is removed."""
        try:
            return load(self.folder / name)
        except DamagedError as error:
            logger.warning("%s: it is removed, and what was before it is used", error)
            (self.folder / name).unlink(missing_ok=True)
            return None

    def finish(self, best: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep the best weights and the result in place of everything that a training goes on from.

        Raises:
            OSError: As `save`; the training can still be taken up.
        """
        save(self.folder / BEST, best)
        save(self.folder / RESULT, result)
        self.forget_points()

    def forget_points(self) -> None:
        """Remove everything that a training goes on from."""
        for point in self.points():
            (self.folder / point.file_name).unlink(missing_ok=True)

    def sweep_out(self) -> None:
        """Remove what writers left that were killed."""
        for path in self.folder.glob(".*.tmp"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` so that a reader sees the old file or the new one, never a part.

    A process that is killed while it writes leaves a hidden ``.tmp`` file, which nothing reads.

    Args:
        path: The file; its folder is made if need be.
        state: Tensors and plain Python values only, as ``torch.load(weights_only=True)`` accepts.

    Raises:
        OSError: The disk is full or not writable; the file that was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: a process that a cluster took for dead may still be writing to the same folder.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            _write(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


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
    with path.open("rb") as file:
        # Without it torch would take the file for one of its old format.
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            raise DamagedError(f"{path}: damaged (no checkpoint)")
        try:
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise DamagedError(f"{path}: damaged (checksum of {damaged})")
            file.seek(0)
            # What no checksum covers, the table of contents, torch reads by itself, and more strictly.
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # Not torch's words: they end with how to execute it all the same.
            raise DamagedError(f"{path}: damaged (it holds more than tensors and plain values)") from error
        except _SIGNS_OF_DAMAGE as error:
            if _NO_MEMORY in str(error) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
                raise
            raise DamagedError(f"{path}: damaged ({(str(error).splitlines() or [type(error).__name__])[0]})") from error
    return state


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a loss of power, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
