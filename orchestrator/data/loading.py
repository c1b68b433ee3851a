"""Checks, fetches and loads the data sets of the registry."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.data.cache import Cache, default_cache_dir
from orchestrator.data.dataset import AS_USUAL, Dataset, DatasetInfo, Decoded, Layout, Source, Split
from orchestrator.data.decode import OnProgress, decode_in_memory
from orchestrator.data.entry import Images
from orchestrator.data.fetched import DataDir, FetchedDir
from orchestrator.data.groups import describe_groups
from orchestrator.data.image_files import refuse_dangling
from orchestrator.data.live_lock import OnSignOfLife
from orchestrator.data.measurable import groups_of_test, unmeasured
from orchestrator.data.partition import hash_of_parts, split_samples
from orchestrator.data.readable import with_readable_reference
from orchestrator.data.sets import DATASETS
from orchestrator.errors import DataError
from orchestrator.waiting import waiting_for


def check_dataset(name: str, data_dir: DataDir, *, path: str | None = None, layout: Layout = AS_USUAL) -> None:
    """Checks that a data set is there, without decoding an image: fast enough to do before anything is started.

    Args:
        name: One of ``DATASETS``.
        data_dir: The folder of all data sets; a set lies in ``data_dir/NAME``, your own in ``data_dir/path``. What lies
            in object storage is fetched first.
        path: The folder or file of a set that is your own, e.g. of ``image_folder``; None for the others.
        layout: How a set that is your own lies there, by the options of the experiment file: see its function in
            ``orchestrator.data.sets``.

    Raises:
        DataError: Something is missing; says what, where to put it, and how it can be fetched.
    """
    info = _info(name)
    try:
        _check(info, name, data_dir, path, layout)
    except DataError as error:
        # Of a folder on another machine that is away, what lies in it is not there, and will be again.
        error.can_pass = error.can_pass or (isinstance(data_dir, Path) and _is_away(data_dir))
        raise


def _is_away(folder: Path) -> bool:
    """Return whether there is nothing at all in a folder: it may be where another machine's is mounted."""
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return True


def _check(info: DatasetInfo, name: str, data_dir: DataDir, path: str | None, layout: Layout) -> None:
    root = root_of(name, data_dir, path)
    missing = [file for file in info.files if not (root / file).exists()]
    if missing:
        refuse_dangling(root)
        refuse_dangling(root / missing[0])
        fetch = f", or let `--download` fetch it to {root}" if info.download else ""
        where = ""
        if isinstance(data_dir, Path) and not data_dir.is_dir():
            where = f"data_dir = {data_dir} is {'no folder' if data_dir.exists() else 'not there'}; "
        raise DataError(
            f"{where}{name}: {root / missing[0]} is missing ({info.description}).",
            remedy=f"Put it there{fetch}; or change data_dir. What belongs where is in docs/data-sets.md.",
        )
    if info.check:
        info.check(root, **layout)


def download_dataset(name: str, data_dir: DataDir) -> None:
    """Fetches a data set to ``data_dir/NAME``, keeping what is there; does nothing for one that cannot be fetched.

    Raises:
        DataError: The download failed, or it would have to go to object storage.
    """
    info = _info(name)
    if info.download and isinstance(data_dir, FetchedDir):
        raise DataError(
            f"data_dir = {data_dir.address}: {name} is not downloaded to object storage.",
            remedy="Download it to a folder, with -o data_dir=PATH, and copy that there.",
        )
    if info.download and isinstance(data_dir, Path):
        with waiting_for(f"{name} to be downloaded to {data_dir / name}"):
            info.download(data_dir / name)


def num_classes_of(name: str, data_dir: DataDir, *, path: str | None = None, layout: Layout = AS_USUAL) -> int:
    """The number of classes, without decoding an image.

    Raises:
        DataError: Only the folder tells, and it is not as it should be.
    """
    info = _info(name)
    return info.num_classes or len(info.open(root_of(name, data_dir, path), **layout).class_names)


def open_dataset(
    name: str, data_dir: DataDir, *, path: str | None = None, layout: Layout = AS_USUAL, skip_unreadable: bool = False
) -> Source:
    """Finds a data set; decodes no image, or the first that can be read.

    Args:
        name: One of ``DATASETS``.
        data_dir: See ``check_dataset``.
        path: See ``check_dataset``.
        layout: See ``check_dataset``.
        skip_unreadable: Has the others compared with the first file that can be read, where all must have one size.

    Raises:
        DataError: Something is missing, see `check_dataset`; or no file can be read.
    """
    check_dataset(name, data_dir, path=path, layout=layout)
    return _opened(name, root_of(name, data_dir, path), layout, skip_unreadable=skip_unreadable)


def _opened(name: str, root: Path, layout: Layout, *, skip_unreadable: bool) -> Source:
    source = _info(name).open(root, **layout)
    return source.with_parts(with_readable_reference(source.parts)) if skip_unreadable else source


def decode_dataset(
    name: str,
    data_dir: DataDir,
    *,
    path: str | None = None,
    layout: Layout = AS_USUAL,
    image_size: int | None = None,
    skip_unreadable: bool = False,
    cache: Cache | None = None,
    on_progress: OnProgress | None = None,
    on_sign_of_life: OnSignOfLife = lambda: None,
) -> Decoded:
    """Returns all images of a data set, mapped from the cache; they are decoded now if no process here did before.

    Args:
        name: One of ``DATASETS``.
        data_dir: See ``check_dataset``.
        path: See ``check_dataset``.
        layout: See ``check_dataset``.
        image_size: Resizes to this height and width in pixels; None keeps the images as they are.
        skip_unreadable: Leaves out the files that cannot be read, and says which; a class must not lose all of them.
        cache: Where the decoded images lie; None: in the default folder.
        on_progress: Is told of the images that are decoded.
        on_sign_of_life: See `orchestrator.data.live_lock.OnSignOfLife`.

    Raises:
        DataError: The set is missing, an image cannot be read, or the cache has no room.
        ValueError: ``image_size`` is out of range.
    """
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size={image_size} is not at least 1.")
    root_of(name, data_dir, path, on_sign_of_life=on_sign_of_life)
    check_dataset(name, data_dir, path=path, layout=layout)
    info, root = _info(name), root_of(name, data_dir, path)
    if info.embedded:
        return decode_in_memory(info.open(root), image_size)
    return (cache or Cache(default_cache_dir())).decoded(
        Images(name, root, image_size, layout, skip_unreadable, info.code),
        open_source=lambda: _opened(name, root, layout, skip_unreadable=skip_unreadable and image_size is None),
        on_progress=on_progress,
        on_sign_of_life=on_sign_of_life,
    )


def split_dataset(
    name: str,
    decoded: Decoded,
    *,
    val_fraction: float = 0.1,
    num_train: int | None = None,
    folds: int | None = None,
    fold: int = 0,
) -> Dataset:
    """Splits a decoded data set; the same arguments give the same splits, always and everywhere.

    Args:
        name: One of ``DATASETS``.
        decoded: Its images.
        val_fraction: See ``split_samples``.
        num_train: See ``split_samples``.
        folds: See ``split_samples``.
        fold: See ``split_samples``.

    Raises:
        DataError: The set cannot be split like this.
        ValueError: ``val_fraction`` or ``fold`` is out of range.
    """
    parts = split_samples(decoded.source, val_fraction=val_fraction, num_train=num_train, folds=folds, fold=fold)
    first_row, row_of = 0, {}
    for samples in decoded.source.parts.values():
        row_of[id(samples)] = first_row
        first_row += len(samples.labels)
    # Of all parts together the first is the first.
    rows_of = {part: row_of.get(id(samples), 0) + indices for part, (samples, indices) in parts.items()}
    splits = {
        part: Split(torch.from_numpy(rows_of[part]), torch.from_numpy(samples.labels[indices]))
        for part, (samples, indices) in parts.items()
    }
    num_pixels = len(rows_of["train"]) * math.prod(decoded.images.shape[2:])
    mean, std = channel_statistics(decoded.pixel_sums[rows_of["train"]].sum(axis=0), num_pixels=num_pixels)
    return Dataset(
        name,
        decoded.images,
        **splits,
        class_names=decoded.source.class_names,
        mean=mean,
        std=std,
        split_hash=hash_of_parts(name, parts, unreadable=decoded.unreadable),
        groups=describe_groups(decoded.source),
        test_hash=hash_of_parts(name, {"test": parts["test"]}),
        unreadable=tuple(decoded.unreadable),
        test_groups=groups_of_test(parts),
        unmeasured=unmeasured(parts, decoded.source.class_names),
        pixel_hash=decoded.pixel_hash,
    )


def load_dataset(
    name: str,
    data_dir: DataDir,
    *,
    path: str | None = None,
    layout: Layout = AS_USUAL,
    image_size: int | None = None,
    skip_unreadable: bool = False,
    val_fraction: float = 0.1,
    num_train: int | None = None,
    folds: int | None = None,
    fold: int = 0,
    cache: Cache | None = None,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Decodes and splits a data set: ``decode_dataset``, then ``split_dataset``."""
    decoded = decode_dataset(
        name,
        data_dir,
        path=path,
        layout=layout,
        image_size=image_size,
        skip_unreadable=skip_unreadable,
        cache=cache,
        on_progress=on_progress,
    )
    return split_dataset(name, decoded, val_fraction=val_fraction, num_train=num_train, folds=folds, fold=fold)


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


def root_of(name: str, data_dir: DataDir, path: str | None, *, on_sign_of_life: OnSignOfLife = lambda: None) -> Path:
    """Return where the files of a data set lie on this machine: a folder, or a file.

    Args:
        name: One of ``DATASETS``.
        data_dir: See ``check_dataset``.
        path: See ``check_dataset``.
        on_sign_of_life: Called again and again while it is fetched.

    Raises:
        DataError: It is your own, and no path says where; or it cannot be fetched.
    """
    info, below = _info(name), name
    if (option := info.path_option) is not None:
        if not path:
            raise DataError(f"{name} needs dataset.{option}: the {option} below data_dir that holds it.")
        below = path
    if isinstance(data_dir, Path):
        return data_dir / below
    return data_dir.root / below if info.embedded else data_dir.fetched(below, on_sign_of_life=on_sign_of_life)


def _info(name: str) -> DatasetInfo:
    if name not in DATASETS:
        raise DataError(f"dataset={name!r} is not known; known are {', '.join(DATASETS)}.")
    return DATASETS[name]
