"""Checks, fetches and loads the data sets of the registry."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from orchestrator.data.dataset import Dataset, DatasetInfo, Samples, Source, Split
from orchestrator.data.registry import DATASETS
from orchestrator.data.splits import Indices, split_hash, training_indices, validation_indices
from orchestrator.errors import DataError


def check_dataset(name: str, data_dir: Path, *, folder: str | None = None) -> None:
    """Checks that a data set is there, without decoding an image: fast enough to do before anything is started.

    Args:
        name: One of ``DATASETS``.
        data_dir: The folder of all data sets; a set lies in ``data_dir/NAME``, your own images in ``data_dir/folder``.
        folder: The folder of ``image_folder`` below ``data_dir``; None for the others.

    Raises:
        DataError: Something is missing; says what, where to put it, and how it can be fetched.
    """
    info, root = _info(name), _root(name, data_dir, folder)
    missing = [file for file in info.files if not (root / file).exists()]
    if missing:
        fetch = f", or let `--download` fetch it to {root}" if info.download else ""
        raise DataError(
            f"{name}: {root / missing[0]} is missing ({info.description}). Put it there{fetch}; or change data_dir."
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


def num_classes_of(name: str, data_dir: Path, *, folder: str | None = None) -> int:
    """The number of classes, without decoding an image.

    Raises:
        DataError: Only the folder tells, and it is not as it should be.
    """
    info = _info(name)
    return info.num_classes or len(info.open(_root(name, data_dir, folder)).class_names)


def count_training_images(
    name: str, data_dir: Path, *, folder: str | None = None, val_fraction: float = 0.1, num_train: int | None = None
) -> int:
    """The number of images that ``load_dataset`` leaves for training with these arguments; decodes none.

    Raises:
        DataError: The set is missing, or cannot be split like this.
    """
    check_dataset(name, data_dir, folder=folder)
    source = _info(name).open(_root(name, data_dir, folder))
    return len(_parts(source, val_fraction, num_train)["train"][1])


def load_dataset(
    name: str,
    data_dir: Path,
    *,
    folder: str | None = None,
    image_size: int | None = None,
    val_fraction: float = 0.1,
    num_train: int | None = None,
) -> Dataset:
    """Reads a data set into memory; the same arguments give the same splits, always and everywhere.

    Args:
        name: One of ``DATASETS``.
        data_dir: The folder of all data sets, see ``check_dataset``.
        folder: The folder of ``image_folder`` below ``data_dir``; None for the others.
        image_size: Resizes to this height and width in pixels; None keeps the images as they are.
        val_fraction: In (0, 1): the stratified part of the training set that becomes validation, unless the set ships
            its own.
        num_train: Takes a stratified part of so many training images first; ``val_fraction`` of *these* become
            validation. Files that are not taken are not decoded.

    Raises:
        DataError: The set is missing, an image cannot be read, or it does not fit into memory.
        ValueError: ``val_fraction``, ``num_train`` or ``image_size`` is out of range.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} is not in (0, 1).")
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size={image_size} is not at least 1.")
    check_dataset(name, data_dir, folder=folder)
    source = _info(name).open(_root(name, data_dir, folder))
    parts = _parts(source, val_fraction, num_train)
    _refuse_if_too_large(name, parts, image_size)
    # A folder's own name is no part of what is in it: the same images elsewhere are the same split.
    digest = split_hash(name, {part: [samples.ids[i] for i in indices] for part, (samples, indices) in parts.items()})
    splits = {part: _read(samples, indices, image_size) for part, (samples, indices) in parts.items()}
    mean, std = channel_statistics(splits["train"].images)
    return Dataset(name, **splits, class_names=source.class_names, mean=mean, std=std, split_hash=digest)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation of each channel in units of [0, 1], exact up to float64.

    Args:
        images: uint8 [n, C, H, W].

    Returns:
        Two tuples of C. A constant channel gets the deviation 1, so that dividing by it stays finite.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        # By histogram: sums of integers, so neither the order nor the number of pixels can round them.
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (share * levels).sum()
        std = (share * (levels - mean).square()).sum().sqrt()
        constant = int((share > 0).sum()) == 1
        means.append(float(mean))
        stds.append(1.0 if constant else float(std))
    return tuple(means), tuple(stds)


def _info(name: str) -> DatasetInfo:
    if name not in DATASETS:
        raise DataError(f"dataset={name!r} is not known; known are {', '.join(DATASETS)}.")
    return DATASETS[name]


def _root(name: str, data_dir: Path, folder: str | None) -> Path:
    if name != "image_folder":
        return data_dir / name
    if not folder:
        raise DataError("image_folder needs dataset.folder: the folder below data_dir that holds train and test.")
    return data_dir / folder


def _parts(source: Source, val_fraction: float, num_train: int | None) -> dict[str, tuple[Samples, Indices]]:
    """Which samples go where, before any is decoded."""
    train, labels, names = source.train, source.train.labels, source.class_names
    chosen = training_indices(train.ids, labels, names, num_train=num_train)
    test = (source.test, np.arange(len(source.test.labels)))
    if source.val is not None:
        return {"train": (train, chosen), "val": (source.val, np.arange(len(source.val.labels))), "test": test}
    ids = [train.ids[index] for index in chosen]
    groups = [train.groups[index] for index in chosen] if train.groups is not None else None
    val = chosen[validation_indices(ids, labels[chosen], names, fraction=val_fraction, groups=groups)]
    return {"train": (train, np.setdiff1d(chosen, val)), "val": (train, val), "test": test}


def _read(samples: Samples, indices: Indices, image_size: int | None) -> Split:
    return Split(samples.read(indices, image_size), torch.from_numpy(samples.labels[indices]))


def _refuse_if_too_large(name: str, parts: dict[str, tuple[Samples, Indices]], image_size: int | None) -> None:
    needed = sum(len(indices) * int(np.prod(samples.shape(image_size))) for samples, indices in parts.values())
    available = _available_memory_bytes()
    if needed > available / 2:
        raise DataError(
            f"{name} would take {needed / 2**30:.1f} GiB in each worker, more than half of the "
            f"{available / 2**30:.1f} GiB free. "
            "Lower dataset.image_size or dataset.num_train, or use a machine with more memory."
        )


def _available_memory_bytes() -> int:
    """What Linux says can be taken without swapping; elsewhere all of the memory."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
