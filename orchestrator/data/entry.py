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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.data.dataset import ArraySamples, Decoded, Layout, Source
from orchestrator.data.decode import Decoding, OnProgress, decode_into, shape_of
from orchestrator.data.image_files import is_litter
from orchestrator.errors import DataError
from orchestrator.waiting import waiting_for

logger = logging.getLogger(__name__)

# Raise it when decoding gives other pixels, or an entry looks otherwise.
DECODER_VERSION = 3
IMAGES, INDEX = "images.npy", "index.npz"
# What a `Source` says in words.
_TEXTS = ("grouped_by", "test_is", "not_read")
_NAME = re.compile(r"\w+-(\d+px|stored)-[0-9a-f]{16}")
_CHECKSUM = "crc32"
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


@dataclass(frozen=True)
class Images:
    """What an entry holds: which images, as they are now, and how they are decoded.

    Attributes:
        dataset: The name of the data set.
        root: Where its files lie.
        image_size: What to resize to; None keeps the size.
        layout: How a set that is your own lies there.
        skip_unreadable: Whether files that cannot be read are left out, or an error.
        code: Of a set that is not zetasweep's: what finds and reads its files.
    """

    dataset: str
    root: Path
    image_size: int | None
    layout: Layout = field(default_factory=dict)
    skip_unreadable: bool = False
    code: str | None = None

    @property
    def entry_name(self) -> str:
        """The name of the entry."""
        content: list[object] = [
            self.dataset,
            str(self.root.resolve()),
            listing(self.root),
            self.image_size,
            DECODER_VERSION,
            version("pillow"),
            version("torch"),
        ]
        content += [dict(self.layout)] if self.layout else []
        # An entry that was made of "skip unreadable" may lack what could be read and not used.
        content += ["skip what cannot be read"] if self.skip_unreadable else []
        content += [{"code": self.code}] if self.code is not None else []
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        return f"{self.dataset}-{f'{self.image_size}px' if self.image_size else 'stored'}-{digest}"


def is_entry_name(name: str) -> bool:
    """Return whether an entry may be called `name`: what a user keeps in the same folder is not touched."""
    return _NAME.fullmatch(name) is not None


def dataset_of(name: str) -> str:
    """Return the data set that an entry of this name holds."""
    return name.rsplit("-", 2)[0]


def write_entry(folder: Path, source: Source, images: Images, *, on_progress: OnProgress | None) -> None:
    """Decode a data set into a new folder, through a loss of power too.

    Args:
        folder: Is made; what lies in it after an error is not an entry.
        source: What to decode.
        images: How.
        on_progress: Is told of the images that are decoded.

    Raises:
        DataError: An image cannot be read, or a class has none that can.
        OSError: The disk is full or not writable.
    """
    count, shape = shape_of(source, images.image_size)
    folder.mkdir()
    _allocate(folder / IMAGES, (count, *shape))
    decoding = decode_into(
        folder / IMAGES,
        source,
        images.image_size,
        skip_unreadable=images.skip_unreadable,
        on_progress=on_progress,
    )
    kept = np.setdiff1d(np.arange(count), list(decoding.unreadable))
    if decoding.unreadable:
        _keep_rows(folder / IMAGES, kept)
    _write_index(folder, source, decoding, kept)


def open_entry(
    folder: Path, *, log_level: int = logging.WARNING, on_block: Callable[[], None] = lambda: None
) -> Decoded | None:
    """Return the images of the entry in `folder`, mapped; None if it is missing, or damaged by its checksums.

    Args:
        folder: Of the entry; its time of use is set.
        log_level: At which it is logged that it is damaged.
        on_block: Is called with each part of it that has been read.
    """
    try:
        # Its archive carries a checksum for each array in it.
        with np.load(folder / INDEX, allow_pickle=False) as archive:
            index = {name: archive[name] for name in archive.files}
        with waiting_for(f"the checksum of {folder / IMAGES}"):
            found = _crc32(folder / IMAGES, on_block)
        if found != int(index[_CHECKSUM]):
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
        texts = {name: str(index[name]) for name in _TEXTS if name in index}
        unreadable = dict(zip(index["unreadable"].tolist(), index["why"].tolist(), strict=True))
        with suppress(OSError):  # another user's
            os.utime(folder / INDEX)  # the time of the last use
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if folder.exists():
            logger.log(log_level, "%s is damaged and is made again: %s", folder, error)
        return None
    source = Source(
        names,
        train=parts["train"],
        val=parts.get("val"),
        test=parts["test"],
        **texts,
    )
    return Decoded(
        source=source,
        images=images,
        pixel_sums=index["pixel_sums"],
        unreadable=unreadable,
        pixel_hash=_written(index[_CHECKSUM]),
    )


def pixel_hash_of(folder: Path) -> str | None:
    """Return the `pixel_hash` of the images of an entry, none of which is read; None if it is missing or damaged."""
    try:
        with np.load(folder / INDEX, allow_pickle=False) as archive:
            return _written(archive[_CHECKSUM])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


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
    return sorted(_files_below(root))


def _files_below(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[tuple[str, int, int]]:
    real = os.path.realpath(folder)
    if real in above:
        return  # a link makes a circle: all of it is listed already
    with os.scandir(folder) as found:
        for entry in found:
            if is_litter(entry.name):
                continue
            if entry.is_symlink() and not os.path.exists(entry.path):
                continue  # also one that leads to itself, which cannot be asked what it is
            if entry.is_dir():
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
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


def _keep_rows(path: Path, rows: NDArray[np.int64]) -> None:
    """Write an array file anew with these rows alone; raise OSError if there is no room for both."""
    images = np.lib.format.open_memmap(path, mode="r")
    target = path.with_suffix(".kept")
    _allocate(target, (len(rows), *images.shape[1:]))
    kept = np.lib.format.open_memmap(target, mode="r+")
    for place, row in enumerate(rows):
        kept[place] = images[row]
    kept.flush()
    target.replace(path)


def _write_index(folder: Path, source: Source, decoding: Decoding, kept: NDArray[np.int64]) -> None:
    """Write what is known of the images of the rows that are kept.

    Raises:
        DataError: A class of a part has none.
    """
    why = {row: error.in_one_line for row, error in sorted(decoding.unreadable.items())}
    ids = [name for samples in source.parts.values() for name in samples.ids]
    arrays: dict[str, NDArray[Any]] = {
        "class_names": np.array(source.class_names),
        **{name: np.array(getattr(source, name)) for name in _TEXTS},
        "pixel_sums": decoding.pixel_sums[kept],
        _CHECKSUM: np.array(_crc32(folder / IMAGES), dtype=np.uint64),
        "unreadable": np.array([ids[row] for row in why], dtype=str),
        "why": np.array(list(why.values()), dtype=str),
    }
    first = 0
    for part, samples in source.parts.items():
        mine = kept[(first <= kept) & (kept < first + len(samples.labels))] - first
        if lost := set(samples.labels.tolist()) - set(samples.labels[mine].tolist()):
            row = first + samples.labels.tolist().index(min(lost))
            raise DataError(
                f"class {source.class_names[min(lost)]!r} of {part} has no image that can be read: {why[row]}"
            )
        first += len(samples.labels)
        arrays[f"{part}_labels"] = samples.labels[mine]
        arrays[f"{part}_ids"] = np.array(samples.ids)[mine]
        if samples.groups is not None:
            arrays[f"{part}_groups"] = np.array(samples.groups)[mine]
    with (folder / INDEX).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    with (folder / IMAGES).open("rb") as file:
        os.fsync(file.fileno())


def _written(checksum: NDArray[Any]) -> str:
    return f"{int(checksum):08x}"


def _crc32(path: Path, on_block: Callable[[], None] = lambda: None) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            value = zlib.crc32(block, value)
            on_block()
    return value
