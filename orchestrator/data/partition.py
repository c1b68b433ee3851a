"""Which samples of a data set become train, val and test, before any is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orchestrator.amounts import counted, some
from orchestrator.data.dataset import Samples, Shape, Source
from orchestrator.data.folds import fold_numbers
from orchestrator.data.image_files import FileSamples
from orchestrator.data.splits import Indices, split_hash, training_indices, validation_indices

Parts = Mapping[str, tuple[Samples, Indices]]
"""The samples of each split, and which of them belong to it."""


@dataclass(frozen=True)
class PooledSamples:
    """The samples of all parts of a data set, one after the other; see ``orchestrator.data.dataset.Samples``.

    Attributes:
        parts: In the order of ``Source.parts``.
    """

    parts: tuple[Samples, ...]

    @cached_property
    def ids(self) -> Sequence[str]:
        """See ``Samples``."""
        return [name for samples in self.parts for name in samples.ids]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """See ``Samples``."""
        return np.concatenate([samples.labels for samples in self.parts])

    @cached_property
    def groups(self) -> Sequence[str] | None:
        """See ``Samples``: a part that has none consists of images that are alone."""
        if all(samples.groups is None for samples in self.parts):
            return None
        return [
            group for samples in self.parts for group in (samples.groups or [f"{name} alone" for name in samples.ids])
        ]

    def shape(self, image_size: int | None) -> Shape:
        """See ``Samples``."""
        return self.parts[0].shape(image_size)

    def read(self, indices: NDArray[np.int64], image_size: int | None) -> Tensor:
        """See ``Samples``."""
        firsts = np.cumsum([0, *(len(samples.labels) for samples in self.parts)])
        images = torch.empty((len(indices), *self.shape(image_size)), dtype=torch.uint8)
        for first, last, samples in zip(firsts, firsts[1:], self.parts, strict=False):
            places = np.flatnonzero((first <= indices) & (indices < last))
            if len(places):
                images[torch.from_numpy(places)] = samples.read(indices[places] - first, image_size)
        return images


def split_samples(
    source: Source, *, val_fraction: float, num_train: int | None, folds: int | None = None, fold: int = 0
) -> dict[str, tuple[Samples, Indices]]:
    """Return which samples of which part of `source` become train, val and test.

    Args:
        source: The data set.
        val_fraction: In (0, 1): the stratified part of the training samples that becomes validation, unless the set
            ships its own.
        num_train: Takes a stratified part of so many training samples first; `val_fraction` of *these* become
            validation.
        folds: Puts all samples together, whatever splits the set has, and deals them into so many stratified folds: one
            becomes the test set, the others are what is trained on and validated by.
        fold: In [0, folds): the one that is tested on.

    Raises:
        DataError: The set cannot be split like this.
        ValueError: `val_fraction` or `fold` is out of range.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} is not in (0, 1).")
    names = source.class_names
    if folds is not None:
        if not 0 <= fold < folds:
            raise ValueError(f"fold={fold} is not in [0, {folds}).")
        pooled = _pooled(tuple(source.parts.values()))
        numbers = fold_numbers(pooled.ids, pooled.labels, pooled.groups, names, folds=folds)
        pool = np.flatnonzero(numbers != fold)
        return {
            **_train_and_val(pooled, pool, names, val_fraction, num_train),
            "test": (pooled, np.flatnonzero(numbers == fold)),
        }
    everything = np.arange(len(source.train.labels), dtype=np.int64)
    test = (source.test, np.arange(len(source.test.labels)))
    if source.val is None:
        return {**_train_and_val(source.train, everything, names, val_fraction, num_train), "test": test}
    chosen = training_indices(source.train.ids, source.train.labels, names, num_train=num_train)
    return {"train": (source.train, chosen), "val": (source.val, np.arange(len(source.val.labels))), "test": test}


def _pooled(parts: tuple[Samples, ...]) -> Samples:
    """Return the samples of all parts; files of one folder as such, so that each is read for itself."""
    pooled = PooledSamples(parts)
    files = [samples for samples in parts if isinstance(samples, FileSamples)]
    if len(files) < len(parts) or len({samples.root for samples in files}) > 1:
        return pooled
    return FileSamples(files[0].root, pooled.ids, pooled.labels, files[0].reference, pooled.groups)


def _train_and_val(
    samples: Samples, pool: Indices, names: Sequence[str], val_fraction: float, num_train: int | None
) -> dict[str, tuple[Samples, Indices]]:
    ids = [samples.ids[index] for index in pool]
    chosen = pool[training_indices(ids, samples.labels[pool], names, num_train=num_train)]
    ids = [samples.ids[index] for index in chosen]
    groups = [samples.groups[index] for index in chosen] if samples.groups is not None else None
    val = chosen[validation_indices(ids, samples.labels[chosen], names, fraction=val_fraction, groups=groups)]
    return {"train": (samples, np.setdiff1d(chosen, val)), "val": (samples, val)}


def hash_of_parts(name: str, parts: Parts, *, unreadable: Iterable[str] = ()) -> str:
    """Return `split_hash` of what `split_samples` returns; no image is decoded.

    A folder's own name is no part of what is in it: the same images elsewhere are the same split.

    Args:
        name: The data set's.
        parts: What is in which split.
        unreadable: The ids of what has been left out.
    """
    contents = {
        part: ([samples.ids[index] for index in indices], samples.labels[indices])
        for part, (samples, indices) in parts.items()
    }
    return split_hash(name, contents, left_out=tuple(unreadable))


def describe_splits(
    source: Source, parts: Parts, *, folds: int | None = None, fold: int = 0, unreadable: Sequence[str] | None = ()
) -> str:
    """Return in a line how large the splits are, which of them the set does not ship, and what is left out.

    Args:
        source: The data set.
        parts: What is in which split.
        folds: See `split_samples`.
        fold: See `split_samples`.
        unreadable: The ids of what cannot be read and is left out; None: nobody has tried yet.
    """
    sizes = ", ".join(f"{part} {len(indices):,}" for part, (_, indices) in parts.items())
    told = []
    if folds is not None:
        shipped = " and ".join(part for part in source.parts if not (part == "test" and source.test_is))
        together = f" ({shipped} put together)" if " and " in shipped else ""
        told.append(f"test is fold {fold}, of {folds} of all images{together}; val is a stratified part of the others")
    else:
        told += [f"test is {source.test_is}"] if source.test_is else []
        told += [] if source.val is not None else ["val is a stratified part of train"]
    told += [f"not read: {source.not_read}"] if source.not_read else []
    if unreadable is None:
        told.append("what cannot be read will be left out")
    elif unreadable:
        told.append(f"{counted(len(unreadable), 'image')} left out that cannot be read: {some(unreadable)}")
    return "; ".join([sizes, *told])
