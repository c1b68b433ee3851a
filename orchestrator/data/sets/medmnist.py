"""MedMNIST, and what else is stored like it: one .npz file with the images and labels of three splits."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from orchestrator.amounts import counted
from orchestrator.data.dataset import ArraySamples, Shape, Source
from orchestrator.data.groups import in_one_spelling
from orchestrator.data.table import is_missing
from orchestrator.errors import DataError

_FAILURES = (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error)
"""What zipfile and NumPy raise for files that are missing, truncated or not what their names say."""

_MAX_NAMED = 5
_BLOCK_BYTES = 16 * 2**20


def open_medmnist_npz(path: Path) -> Source:
    """Finds a data set in the format of MedMNIST, e.g. ``bloodmnist.npz`` or ``pathmnist_64.npz``.

    ::

        train_images, val_images, test_images      uint8 [n, S, S] (grey) or [n, S, S, 3] (RGB)
        train_labels, val_labels, test_labels      integers [n] or [n, 1], from 0
        train_groups, val_groups, test_groups      if there: integers or text [n]: what each image shows

    The file does not name its classes: they are called "0", "1" and so on. Labels are read at once, images only when
    they are asked for. Sets with several labels for an image (ChestMNIST) and with volumes (…MNIST3D) are refused.
    Source: https://medmnist.com, with the counts and the licence of each set. Cite: Yang et al., "MedMNIST v2 - A
    large-scale lightweight benchmark for 2D and 3D biomedical image classification", Scientific Data 10 (2023).

    Args:
        path: The .npz file.

    Raises:
        DataError: The file is missing or damaged, an array is missing or not as above, or a split lacks a class.
    """
    train, val, test = (_samples(path, split) for split in ("train", "val", "test"))
    num_classes = len(np.unique(train.labels))
    if num_classes < 2:
        raise DataError(f"{path}: train_labels has {num_classes} class: classification needs two or more.")
    for split, samples in (("train", train), ("val", val), ("test", test)):
        if samples.stored != train.stored:
            raise DataError(
                f"{path}: {samples.array} holds images of {_described(samples.stored)}, but {train.array} of "
                f"{_described(train.stored)}. All splits need the same."
            )
        if differing := sorted(set(range(num_classes)) ^ set(samples.labels.tolist())):
            raise DataError(
                f"{path}: {split}_labels and the {num_classes} classes of train_labels, 0 to {num_classes - 1}, differ "
                f"in {', '.join(str(label) for label in differing[:_MAX_NAMED])}. Labels count from 0, and every split "
                "needs images of every class."
            )
    called = in_one_spelling(group for samples in (train, val, test) for group in samples.groups or ())
    train, val, test = (
        replace(samples, groups=[called[group] for group in samples.groups]) if samples.groups is not None else samples
        for samples in (train, val, test)
    )
    grouped = any(samples.groups is not None for samples in (train, val, test))
    return Source(
        tuple(str(label) for label in range(num_classes)),
        train=train,
        val=val,
        test=test,
        grouped_by=f"the groups in {path.name}" if grouped else "",
    )


@dataclass(frozen=True)
class NpzSamples:
    """Samples whose images stay in the file until they are read; see ``orchestrator.data.dataset.Samples``.

    Attributes:
        path: The .npz file.
        array: The array of the images: uint8 [n, S, S] or [n, S, S, 3].
        ids: See ``Samples``.
        labels: int64 [n].
        stored: Channels, height and width of the stored images.
        groups: See ``Samples``.
        mapped: Where the array has been unpacked to; None: it is read from the archive, as a whole.
    """

    path: Path
    array: str
    ids: Sequence[str]
    labels: NDArray[np.int64]
    stored: Shape
    groups: Sequence[str] | None = None
    mapped: Path | None = None

    @property
    def unpacked_bytes(self) -> int:
        """See ``PackedSamples``."""
        return len(self.labels) * math.prod(self.stored)

    def unpacked(self, folder: Path) -> NpzSamples:
        """See ``PackedSamples``.

        Raises:
            DataError: The array is damaged.
            OSError: The file cannot be written, e.g. for want of room.
        """
        target = folder / f"{self.array}.npy"
        with target.open("wb") as file:
            file.writelines(_blocks(self.path, self.array))
        try:
            npy.open_memmap(target, mode="r")
        except ValueError as error:  # the header promises more than there is
            raise DataError(
                f"{self.path}: {self.array} cannot be read: {error}. Put MedMNIST's .npz file there."
            ) from error
        return replace(self, mapped=target)

    def shape(self, image_size: int | None) -> Shape:
        """See ``Samples``."""
        channels, height, width = self.stored
        return (channels, image_size or height, image_size or width)

    def read(self, indices: NDArray[np.int64], image_size: int | None) -> Tensor:
        """See ``Samples``; resized bilinearly with antialiasing. From the first call on the whole array is in memory.

        Raises:
            DataError: The array is damaged.
        """
        if self.mapped is None:
            return self._in_memory.read(indices, image_size)
        # Copy-on-write, so that PyTorch takes it; nobody writes, and all processes share the pages. Not kept: these
        # samples travel to other processes, and the file is removed after them.
        return self._of(npy.open_memmap(self.mapped, mode="c")).read(indices, image_size)

    @cached_property
    def _in_memory(self) -> ArraySamples:
        with _member(self.path, self.array) as file:
            return self._of(npy.read_array(file))

    def _of(self, array: NDArray[np.uint8]) -> ArraySamples:
        images = torch.from_numpy(array)
        images = images.permute(0, 3, 1, 2) if images.ndim == 4 else images.unsqueeze(1)
        return ArraySamples(self.ids, self.labels, images)


def _samples(path: Path, split: str) -> NpzSamples:
    array = f"{split}_images"
    shape, dtype = _header(path, array)
    if dtype != np.uint8 or len(shape) not in (3, 4) or shape[1] != shape[2] or shape[3:] not in ((), (3,)):
        raise DataError(
            f"{path}: {array} is {dtype} {list(shape)}, but uint8 [n, S, S] or [n, S, S, 3] is expected: "
            "square 2D images, grey or RGB."
        )
    if 0 in shape:
        raise DataError(f"{path}: {array} is empty: {list(shape)}. Every split needs images of every class.")
    labels = _labels(path, f"{split}_labels", shape[0])
    ids = [f"{split}/{index}" for index in range(len(labels))]
    stored = (3 if len(shape) == 4 else 1, shape[1], shape[2])
    return NpzSamples(path, array, ids, labels, stored, groups=_groups(path, split, shape[0]))


def _groups(path: Path, split: str, num_images: int) -> list[str] | None:
    """What each image of a split shows; None if nothing says it."""
    array = f"{split}_groups"
    with _opened(path, array) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    if array not in names:
        known = [f"{split}_groups" for split in ("train", "val", "test")]
        if others := sorted(name for name in names if "group" in name.lower() and name not in known):
            raise DataError(
                f"{path}: {others[0]} is not read: groups stand in {', '.join(known)}.", remedy="Rename or remove it."
            )
        return None
    shape, dtype = _header(path, array)
    if dtype.kind not in "iuU" or shape not in ((num_images,), (num_images, 1)):
        raise DataError(
            f"{path}: {array} is {dtype} {list(shape)}, but integers or text [{num_images}] is expected: the group of "
            "each image."
        )
    with _member(path, array) as file:
        groups = npy.read_array(file).reshape(-1).tolist()
    return [f"{split}/{index} alone" if is_missing(str(group)) else str(group) for index, group in enumerate(groups)]


def _labels(path: Path, array: str, num_images: int) -> NDArray[np.int64]:
    """int64 [num_images]."""
    shape, dtype = _header(path, array)
    if len(shape) == 2 and shape[1] > 1:
        raise DataError(
            f"{path}: {array} has {shape[1]} labels for each image: what has several labels cannot be used here."
        )
    if dtype.kind not in "iu" or len(shape) not in (1, 2):
        raise DataError(f"{path}: {array} is {dtype} {list(shape)}, but integers [n] or [n, 1] are expected.")
    if shape[0] != num_images:
        raise DataError(
            f"{path}: {array} has {counted(shape[0], 'label')} for {counted(num_images, 'image')}. Every image needs "
            "one: download it again."
        )
    with _member(path, array) as file:
        return npy.read_array(file).reshape(-1).astype(np.int64)


def _header(path: Path, array: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array, without reading it."""
    with _member(path, array) as file:
        # NumPy writes later versions only for the names of fields, and such an array would be refused anyway.
        read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def _blocks(path: Path, array: str) -> Iterator[bytes]:
    """An array's bytes, block by block."""
    with _member(path, array) as packed:
        while block := packed.read(_BLOCK_BYTES):
            yield block


@contextmanager
def _member(path: Path, array: str) -> Iterator[IO[bytes]]:
    """An array's bytes; what goes wrong while they are read is a ``DataError`` that names file and array."""
    with _opened(path, array) as archive, archive.open(f"{array}.npy") as file:
        yield file


@contextmanager
def _opened(path: Path, array: str) -> Iterator[zipfile.ZipFile]:
    """The archive; what goes wrong while it is read is a ``DataError`` that names file and array."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except KeyError as error:
        raise DataError(
            f"{path} has no array {array}: an .npz file of MedMNIST has images and labels of train, val and test."
        ) from error
    except _FAILURES as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path}: {array} cannot be read: {reason}. Put MedMNIST's .npz file there.") from error


def _described(stored: Shape) -> str:
    return f"{stored[1]}x{stored[2]} pixels in {counted(stored[0], 'channel')}"
