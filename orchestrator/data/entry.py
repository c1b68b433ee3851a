"""One entry of the cache: the decoded images of a data set at one size.

An entry is a folder with ``images.npy``, uint8 [N, C, S, S], and ``index.npz``, what is known about each image. It is
named after a hash of the list of source files (path, size, time of change), the size and the version of the decoder:
when one of them changes, another entry is made.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.data.dataset import ArraySamples, Decoded, Source
from orchestrator.data.decode import OnProgress, decode_into, shape_of
from orchestrator.data.image_files import is_litter

logger = logging.getLogger(__name__)

# Raise it when decoding gives other pixels, or an entry looks otherwise.
DECODER_VERSION = 2
IMAGES, INDEX = "images.npy", "index.npz"
_NAME = re.compile(r"\w+-(\d+px|stored)-[0-9a-f]{16}")
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
        return dataset_of(self.path.name)


def entry_name(dataset: str, root: Path, image_size: int | None) -> str:
    """Return the name of the entry of a data set whose files lie at `root`, as they are now."""
    content = [
        dataset,
        str(root.resolve()),
        listing(root),
        image_size,
        DECODER_VERSION,
        version("pillow"),
        version("torch"),
    ]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    return f"{dataset}-{f'{image_size}px' if image_size else 'stored'}-{digest}"


def is_entry_name(name: str) -> bool:
    """Return whether an entry may be called `name`: what a user keeps in the same folder is not touched."""
    return _NAME.fullmatch(name) is not None


def dataset_of(name: str) -> str:
    """Return the data set that an entry of this name holds."""
    return name.rsplit("-", 2)[0]


def write_entry(folder: Path, source: Source, image_size: int | None, *, on_progress: OnProgress | None) -> None:
    """Decode a data set into a new folder, through a loss of power too.

    Args:
        folder: Is made; what lies in it after an error is not an entry.
        source: What to decode.
        image_size: What to resize to; None keeps the size.
        on_progress: Is told of the images that are decoded.

    Raises:
        DataError: An image cannot be read.
        OSError: The disk is full or not writable.
    """
    count, shape = shape_of(source, image_size)
    folder.mkdir()
    _allocate(folder / IMAGES, (count, *shape))
    sums = decode_into(folder / IMAGES, source, image_size, on_progress=on_progress)
    _write_index(folder, source, sums)


def open_entry(folder: Path, *, log_level: int = logging.WARNING) -> Decoded | None:
    """Return the images of the entry in `folder`, mapped; None if it is missing, or damaged by its checksums.

    Args:
        folder: Of the entry; its time of use is set.
        log_level: At which it is logged that it is damaged.
    """
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
        grouped_by = str(index["grouped_by"])
        with suppress(OSError):  # another user's
            os.utime(folder / INDEX)  # the time of the last use
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        logger.log(log_level, "%s is damaged and is made again: %s", folder, error)
        return None
    source = Source(
        names,
        train=parts["train"],
        val=parts.get("val"),
        test=parts["test"],
        grouped_by=grouped_by,
    )
    return Decoded(source=source, images=images, pixel_sums=index["pixel_sums"])


def last_use(folder: Path) -> float:
    """Return when an entry was opened last, in s since 1970; 0 if it is not whole."""
    return (folder / INDEX).stat().st_mtime if (folder / INDEX).exists() else 0.0


def size_bytes(folder: Path) -> int:
    """Return what an entry takes on disk."""
    return sum(file.stat().st_size for file in folder.iterdir())


def listing(root: Path) -> list[tuple[str, int, int]]:
    """Return path, size and time of change (ns) of every file below `root`, sorted; of `root` itself if it is a file.

    What is no part of any data set is passed over.
    """
    if root.is_file():
        about = root.stat()
        return [(root.name, about.st_size, about.st_mtime_ns)]
    return sorted(_files_below(root, ""))


def _files_below(folder: Path, prefix: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as found:
        for entry in found:
            if is_litter(entry.name):
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
        "grouped_by": np.array(source.grouped_by),
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


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            value = zlib.crc32(block, value)
    return value
