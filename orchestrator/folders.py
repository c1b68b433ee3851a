"""Whether a folder could be made or written to, and on which disk it would be, without making anything."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path


def nearest_folder(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def by_disk(paths: Iterable[Path]) -> list[list[Path]]:
    """Return those that are on one disk together, there or not."""
    found: dict[int, list[Path]] = {}
    for path in paths:
        found.setdefault(nearest_folder(path).stat().st_dev, []).append(path)
    return list(found.values())


def try_writing(path: Path) -> None:
    """Raise OSError if nothing can be made in a folder, or, where that is not there yet, in what it would be made in.

    Tried with a file that has no name, or loses it at once: permissions do not tell of a folder of the system's, or of
    a disk that can be read alone.
    """
    with tempfile.TemporaryFile(dir=nearest_folder(path)):
        pass
