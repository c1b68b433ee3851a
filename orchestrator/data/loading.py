"""Checks, fetches and loads the data sets of the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.data.cache import Cache, default_cache_dir
from orchestrator.data.dataset import Dataset, DatasetInfo, Decoded, Samples, Source, Split
from orchestrator.data.decode import OnProgress, decode_in_memory
from orchestrator.data.groups import describe_groups
from orchestrator.data.image_files import refuse_dangling
from orchestrator.data.sets import DATASETS
from orchestrator.data.splits import Indices, split_hash, training_indices, validation_indices
from orchestrator.errors import DataError


def check_dataset(name: str, data_dir: Path, *, path: str | None = None) -> None:
    """Checks that a data set is there, without decoding an image: fast enough to do before anything is started.

    Args:
        name: One of ``DATASETS``.
        data_dir: The folder of all data sets; a set lies in ``data_dir/NAME``, your own in ``data_dir/path``.
        path: The folder or file of a set that is your own, e.g. of ``image_folder``; None for the others.

    Raises:
        DataError: Something is missing; says what, where to put it, and how it can be fetched.
    """
    info, root = _info(name), root_of(name, data_dir, path)
    missing = [file for file in info.files if not (root / file).exists()]
    if missing:
        refuse_dangling(root)
        refuse_dangling(root / missing[0])
        fetch = f", or let `--download` fetch it to {root}" if info.download else ""
        state = "no folder" if data_dir.exists() else "not there"
        where = "" if data_dir.is_dir() else f"data_dir = {data_dir} is {state}; "
        raise DataError(
            f"{where}{name}: {root / missing[0]} is missing ({info.description}).",
            remedy=f"Put it there{fetch}; or change data_dir. What belongs where is in docs/data-sets.md.",
        )
    if info.check:
        info.check(root)


def download_dataset(name: str, data_dir: Path) -> None:
    """Fetches a data set to ``data_dir/NAME``, keeping what is there; does nothing for one that cannot be fetched.

    Raises:
        DataError: The download failed.
    """
    info = _info(name)
    if info.download:
        info.download(data_dir / name)


def num_classes_of(name: str, data_dir: Path, *, path: str | None = None) -> int:
    """The number of classes, without decoding an image.

    Raises:
        DataError: Only the folder tells, and it is not as it should be.
    """
    info = _info(name)
    return info.num_classes or len(info.open(root_of(name, data_dir, path)).class_names)


def open_dataset(name: str, data_dir: Path, *, path: str | None = None) -> Source:
    """Finds a data set; decodes no image.

    Raises:
        DataError: Something is missing, see `check_dataset`.
    """
    check_dataset(name, data_dir, path=path)
    return _info(name).open(root_of(name, data_dir, path))


def decode_dataset(
    name: str,
    data_dir: Path,
    *,
    path: str | None = None,
    image_size: int | None = None,
    cache: Cache | None = None,
    on_progress: OnProgress | None = None,
) -> Decoded:
    """Returns all images of a data set, mapped from the cache; they are decoded now if no process here did before.

    Args:
        name: One of ``DATASETS``.
        data_dir: See ``check_dataset``.
        path: See ``check_dataset``.
        image_size: Resizes to this height and width in pixels; None keeps the images as they are.
        cache: Where the decoded images lie; None: in the default folder.
        on_progress: Is told of the images that are decoded.

    Raises:
        DataError: The set is missing, an image cannot be read, or the cache has no room.
        ValueError: ``image_size`` is out of range.
    """
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size={image_size} is not at least 1.")
    check_dataset(name, data_dir, path=path)
    info, root = _info(name), root_of(name, data_dir, path)
    if info.embedded:
        return decode_in_memory(info.open(root), image_size)
    return (cache or Cache(default_cache_dir())).decoded(
        name, root, image_size, open_source=lambda: info.open(root), on_progress=on_progress
    )


def split_dataset(name: str, decoded: Decoded, *, val_fraction: float = 0.1, num_train: int | None = None) -> Dataset:
    """Splits a decoded data set; the same arguments give the same splits, always and everywhere.

    Args:
        name: One of ``DATASETS``.
        decoded: Its images.
        val_fraction: In (0, 1): the stratified part of the training set that becomes validation, unless the set ships
            its own.
        num_train: Takes a stratified part of so many training images first; ``val_fraction`` of *these* become
            validation.

    Raises:
        DataError: The set cannot be split like this.
        ValueError: ``val_fraction`` is out of range.
    """
    first_row, rows_of = 0, {}
    parts = split_samples(decoded.source, val_fraction=val_fraction, num_train=num_train)
    for samples in decoded.source.parts.values():
        for part, (among, indices) in parts.items():
            if among is samples:
                rows_of[part] = first_row + indices
        first_row += len(samples.labels)
    splits = {
        part: Split(torch.from_numpy(rows_of[part]), torch.from_numpy(samples.labels[indices]))
        for part, (samples, indices) in parts.items()
    }
    digest = hash_of_parts(name, parts)
    num_pixels = len(rows_of["train"]) * math.prod(decoded.images.shape[2:])
    mean, std = channel_statistics(decoded.pixel_sums[rows_of["train"]].sum(axis=0), num_pixels=num_pixels)
    return Dataset(
        name,
        decoded.images,
        **splits,
        class_names=decoded.source.class_names,
        mean=mean,
        std=std,
        split_hash=digest,
        groups=describe_groups(decoded.source),
    )


def load_dataset(
    name: str,
    data_dir: Path,
    *,
    path: str | None = None,
    image_size: int | None = None,
    val_fraction: float = 0.1,
    num_train: int | None = None,
    cache: Cache | None = None,
) -> Dataset:
    """Decodes and splits a data set: ``decode_dataset``, then ``split_dataset``."""
    decoded = decode_dataset(name, data_dir, path=path, image_size=image_size, cache=cache)
    return split_dataset(name, decoded, val_fraction=val_fraction, num_train=num_train)


def channel_statistics(sums: NDArray[np.int64], *, num_pixels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation of each channel in units of [0, 1], rounded once.

    Args:
        sums: int64 [C, 2]: the sum of the pixels of each channel, and that of their squares.
        num_pixels: Of each channel.

    Returns:
        Two tuples of C. A constant channel gets the deviation 1, so that dividing by it stays finite.
    """
    means, stds = [], []
    for total, squares in sums.tolist():
        # Integers of any size: neither the order nor the number of pixels can round them.
        spread = num_pixels * squares - total**2
        means.append(total / (255 * num_pixels))
        stds.append(math.sqrt(spread) / (255 * num_pixels) if spread else 1.0)
    return tuple(means), tuple(stds)


def hash_of_parts(name: str, parts: Mapping[str, tuple[Samples, Indices]]) -> str:
    """Return `split_hash` of what `split_samples` returns; no image is decoded.

    A folder's own name is no part of what is in it: the same images elsewhere are the same split.
    """
    contents = {
        part: ([samples.ids[index] for index in indices], samples.labels[indices])
        for part, (samples, indices) in parts.items()
    }
    return split_hash(name, contents)


def split_samples(source: Source, *, val_fraction: float, num_train: int | None) -> dict[str, tuple[Samples, Indices]]:
    """Which samples of which part of `source` become train, val and test, before any is decoded.

    Raises:
        DataError: The set cannot be split like this.
        ValueError: ``val_fraction`` is out of range.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} is not in (0, 1).")
    train, labels, names = source.train, source.train.labels, source.class_names
    chosen = training_indices(train.ids, labels, names, num_train=num_train)
    test = (source.test, np.arange(len(source.test.labels)))
    if source.val is not None:
        return {"train": (train, chosen), "val": (source.val, np.arange(len(source.val.labels))), "test": test}
    ids = [train.ids[index] for index in chosen]
    groups = [train.groups[index] for index in chosen] if train.groups is not None else None
    val = chosen[validation_indices(ids, labels[chosen], names, fraction=val_fraction, groups=groups)]
    return {"train": (train, np.setdiff1d(chosen, val)), "val": (train, val), "test": test}


def root_of(name: str, data_dir: Path, path: str | None) -> Path:
    """Return where the files of a data set lie: a folder, or a file.

    Raises:
        DataError: It is your own, and no path says where.
    """
    option = _info(name).path_option
    if option is None:
        return data_dir / name
    if not path:
        raise DataError(f"{name} needs dataset.{option}: the {option} below data_dir that holds it.")
    return data_dir / path


def _info(name: str) -> DatasetInfo:
    if name not in DATASETS:
        raise DataError(f"dataset={name!r} is not known; known are {', '.join(DATASETS)}.")
    return DATASETS[name]
