"""Each image is decoded once per machine: all trainings map the same file of pixels.

An entry is one data set at one size: a folder with ``images.npy``, uint8 [N, C, S, S], and ``index.npz``, what is known
about each image. It is named after a hash of the list of source files (path, size, time of change), the size and the
version of the decoder: when one of them changes, another entry is made. It appears by a rename when it is whole, and is
checked against its checksum whenever it is opened; one that is damaged is made again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from orchestrator.amounts import bytes_text
from orchestrator.data.dataset import ArraySamples, Decoded, Source
from orchestrator.data.decode import OnProgress, decode_into, shape_of
from orchestrator.errors import DataError

logger = logging.getLogger(__name__)

# Raise it when decoding gives other pixels, or an entry looks otherwise.
DECODER_VERSION = 1
IMAGES, INDEX = "images.npy", "index.npz"
_BUILDING, _LOCK = ".building-", ".lock-"
_ENTRY_NAME = re.compile(r"\w+-(\d+px|stored)-[0-9a-f]{16}")
_BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Entry:
    """One entry that is there.

    Attributes:
        path: Its folder.
        size_bytes: On disk.
    """

    path: Path
    size_bytes: int

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return _dataset_of(self.path.name)


@dataclass(frozen=True)
class Cache:
    """The folder of all entries.

    Attributes:
        dir: On a disk of the machine itself.
        limit_gib: What all entries together may take; the ones not used for longest give way. None: no limit.
    """

    dir: Path
    limit_gib: float | None = None

    def check(self) -> None:
        """Raise DataError if there cannot be such a folder: it, or what it lies in, is something else, or locked."""
        nearest = next(path for path in (self.dir, *self.dir.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise DataError(
                f"cache.dir = {self.dir}: {nearest} is not a folder. "
                "Set cache.dir (or ZETASWEEP_CACHE) to a folder on a disk of this machine."
            )
        try:
            # Whether it is there does not matter, but asking must be allowed.
            (self.dir / "entry").stat()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unwritable(error) from error

    def check_limit(self, needed_bytes: int, *, what: str) -> None:
        """Raise DataError if `what`, of so many bytes, is more than all entries together may take."""
        if self.limit_gib is not None and needed_bytes > self._limit_bytes:
            enough_gib = Context(prec=2, rounding=ROUND_CEILING).create_decimal(needed_bytes / 2**30)
            raise DataError(
                f"cache.limit_gib = {self.limit_gib:g} ({bytes_text(int(self._limit_bytes))}): {what} take "
                f"{bytes_text(needed_bytes)}. Raise it to {enough_gib:f} or more, or lower dataset.image_size."
            )

    def path_of(self, name: str, root: Path, image_size: int | None) -> Path:
        """Return the folder of the entry of a data set whose files lie at `root`, as they are now."""
        content = [
            name,
            str(root.resolve()),
            listing(root),
            image_size,
            DECODER_VERSION,
            version("pillow"),
            version("torch"),
        ]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        return self.dir / f"{name}-{f'{image_size}px' if image_size else 'stored'}-{digest}"

    def decoded(
        self,
        name: str,
        root: Path,
        image_size: int | None,
        *,
        open_source: Callable[[], Source],
        on_progress: OnProgress | None = None,
    ) -> Decoded:
        """Return the images of a data set: from the entry, made first if it is missing or damaged.

        One process makes it, others wait for it.

        Args:
            name: Of the data set.
            root: Where its files lie.
            image_size: What to resize to; None keeps the size.
            open_source: Finds the images; only called if the entry must be made.
            on_progress: Is told of the images that are decoded.

        Raises:
            DataError: An image cannot be read, the cache cannot be written, or there is no room.
        """
        self.check()
        path = self.path_of(name, root, image_size)
        # What is damaged is said under the lock: once, and only by the process that makes it again.
        found = _opened(path, log_level=logging.DEBUG)
        if found is None:
            try:
                self.dir.mkdir(parents=True, exist_ok=True)
                with FileLock(self.dir / f"{_LOCK}{path.name}"):
                    found = _opened(path)
                    if found is None:
                        self._build(path, open_source(), image_size, on_progress)
                        found = _opened(path)
            except OSError as error:
                raise self._unwritable(error) from error
            if found is None:
                raise DataError(f"{path} was damaged as soon as it was written. Set cache.dir to another disk.")
        return found

    def entries(self) -> list[Entry]:
        """Return the entries that are there, those not used for longest first.

        Raises:
            DataError: There cannot be such a folder.
        """
        self.check()
        found = []
        for path in self.dir.glob("*"):
            with suppress(FileNotFoundError, NotADirectoryError):  # another process may be removing it
                # What a user keeps in the same folder is not touched.
                if _ENTRY_NAME.fullmatch(path.name):
                    found.append((_last_use(path), Entry(path, _size_bytes(path))))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]

    def clear(self, name: str | None = None) -> list[Entry]:
        """Remove the entries of a data set, or all, and what killed builds left of them; return the entries.

        Trainings that have mapped an entry keep it until they end.

        Raises:
            DataError: One cannot be removed.
        """
        removed = [entry for entry in self.entries() if name in (None, entry.dataset)]
        try:
            for entry in removed:
                shutil.rmtree(entry.path)
            self._remove_unfinished(name)
        except OSError as error:
            raise self._unwritable(error) from error
        return removed

    def _build(self, path: Path, source: Source, image_size: int | None, on_progress: OnProgress | None) -> None:
        building = self.dir / f"{_BUILDING}{path.name}"
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)
        self._remove_unfinished()
        count, shape = shape_of(source, image_size)
        needed_bytes = count * math.prod(shape)
        self._make_room(needed_bytes)
        free_bytes = shutil.disk_usage(self.dir).free
        try:
            building.mkdir()
            _allocate(building / IMAGES, (count, *shape))
            sums = decode_into(building / IMAGES, source, image_size, on_progress=on_progress)
            _write_index(building, source, sums)
            building.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # A quota, or a disk that has no room for names, leaves bytes free.
            free = f", and {bytes_text(free_bytes)} are free there" if free_bytes < needed_bytes else ""
            raise DataError(
                f"cache.dir = {self.dir}: no room for the decoded images ({error.strerror}): they take "
                f"{bytes_text(needed_bytes)}{free}. Free some (zetasweep data clear --cache-dir {self.dir}), "
                "set cache.dir to another disk, or lower dataset.image_size."
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _remove_unfinished(self, name: str | None = None) -> None:
        """Remove what killed builds left of a data set, or of all; a build that goes on holds its lock."""
        for path in self.dir.glob(f"{_BUILDING}*"):
            entry_name = path.name.removeprefix(_BUILDING)
            if _ENTRY_NAME.fullmatch(entry_name) and name in (None, _dataset_of(entry_name)):
                with suppress(OSError), FileLock(self.dir / f"{_LOCK}{entry_name}", timeout=0):
                    shutil.rmtree(path, ignore_errors=True)

    @property
    def _limit_bytes(self) -> float:
        return math.inf if self.limit_gib is None else self.limit_gib * 2**30

    def _make_room(self, needed_bytes: int) -> None:
        """Remove entries until the limit holds with so many bytes more."""
        self.check_limit(needed_bytes, what="the decoded images")
        entries = self.entries()
        taken = sum(entry.size_bytes for entry in entries)
        for entry in entries:
            if taken + needed_bytes <= self._limit_bytes:
                return
            logger.info("%s gives way to a new entry", entry.path)
            shutil.rmtree(entry.path, ignore_errors=True)
            taken -= entry.size_bytes

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"cache.dir = {self.dir}: not writable ({error.strerror or error}). Mend that, or set cache.dir."
        )


def listing(root: Path) -> list[tuple[str, int, int]]:
    """Return path, size and time of change (ns) of every file below `root`, sorted; of `root` itself if it is a file.

    Hidden files and folders are passed over.
    """
    if root.is_file():
        about = root.stat()
        return [(root.name, about.st_size, about.st_mtime_ns)]
    return sorted(_files_below(root, ""))


def _files_below(folder: Path, prefix: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.is_file():
                about = entry.stat()
                yield f"{prefix}{entry.name}", about.st_size, about.st_mtime_ns


def _allocate(path: Path, shape: tuple[int, ...]) -> None:
    """Write an array file of `shape` whose blocks are all there: writing to a map of a full disk ends the process."""
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    del images
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        elif shutil.disk_usage(path.parent).free < path.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write_index(folder: Path, source: Source, sums: NDArray[np.int64]) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "class_names": np.array(source.class_names),
        "pixel_sums": sums,
        "crc32": np.array(_crc32(folder / IMAGES), dtype=np.uint64),
    }
    for part, samples in source.parts.items():
        arrays[f"{part}_labels"] = samples.labels
        arrays[f"{part}_ids"] = np.array(samples.ids)
        if samples.groups is not None:
            arrays[f"{part}_groups"] = np.array(samples.groups)
    with (folder / INDEX).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    with (folder / IMAGES).open("rb") as file:
        os.fsync(file.fileno())


def _opened(folder: Path, *, log_level: int = logging.WARNING) -> Decoded | None:
    """Return the entry in `folder`; None if it is missing, or damaged."""
    try:
        # Its archive carries a checksum for each array in it.
        with np.load(folder / INDEX, allow_pickle=False) as archive:
            index = {name: archive[name] for name in archive.files}
        if _crc32(folder / IMAGES) != int(index["crc32"]):
            raise ValueError(f"{IMAGES} does not have the checksum that {INDEX} says")
        # Copy-on-write, so that PyTorch takes it; nobody writes, and all processes share the pages.
        images = torch.from_numpy(np.lib.format.open_memmap(folder / IMAGES, mode="c"))
        names = tuple(str(name) for name in index["class_names"])
        parts: dict[str, ArraySamples] = {}
        first = 0
        for part in ("train", "val", "test"):
            if f"{part}_labels" in index:
                labels = index[f"{part}_labels"]
                groups = index[f"{part}_groups"].tolist() if f"{part}_groups" in index else None
                rows = images[first : first + len(labels)]
                parts[part] = ArraySamples(index[f"{part}_ids"].tolist(), labels, rows, groups)
                first += len(labels)
        with suppress(OSError):  # another user's
            os.utime(folder / INDEX)  # the time of the last use
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        logger.log(log_level, "%s is damaged and is made again: %s", folder, error)
        return None
    source = Source(names, train=parts["train"], val=parts.get("val"), test=parts["test"])
    return Decoded(source=source, images=images, pixel_sums=index["pixel_sums"])


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            value = zlib.crc32(block, value)
    return value


def _dataset_of(entry_name: str) -> str:
    return entry_name.rsplit("-", 2)[0]


def _last_use(path: Path) -> float:
    return (path / INDEX).stat().st_mtime if (path / INDEX).exists() else 0.0


def _size_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())
