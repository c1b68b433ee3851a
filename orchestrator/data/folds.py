"""Folds of a data set that are the same everywhere and for ever, as `orchestrator.data.splits` are."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from orchestrator.amounts import counted
from orchestrator.data.splits import Indices
from orchestrator.errors import DataError


def fold_numbers(
    ids: Sequence[str], labels: Indices, groups: Sequence[str] | None, class_names: Sequence[str], *, folds: int
) -> Indices:
    """The fold of each sample: stratified, and no group is torn apart.

    The largest groups are dealt first, among equals in the order of their hashes, each to the fold that has least of
    its classes so far.

    Args:
        ids: The samples' ids.
        labels: int64 [n].
        groups: The group of each sample; None: each is a group of its own.
        class_names: In the order of the labels.
        folds: How many, at least 2.

    Returns:
        int64 [n] in [0, folds); every fold has every class.

    Raises:
        DataError: A class has fewer groups than there are folds.
    """
    together = tuple(ids if groups is None else groups)
    fold_of, lacking = _dealt(together, tuple(labels.tolist()), len(class_names), folds)
    if lacking is not None:
        label, num_groups = lacking
        things = (
            counted(num_groups, "image") if groups is None else f"{counted(num_groups, 'group')} of images together"
        )
        raise DataError(
            f"class {class_names[label]!r} has {things}: not every one of {folds} folds gets one.",
            remedy="Lower dataset.folds, or add images.",
        )
    return fold_of


# Asked for once for each fold of a data set.
@lru_cache(maxsize=2)
def _dealt(
    groups: Sequence[str], labels: Sequence[int], num_classes: int, folds: int
) -> tuple[Indices, tuple[int, int] | None]:
    """Return the fold of each sample, int64 [n], and a class that a fold lacks with the number of its groups, if any.

    In plain Python: it is about single numbers, for which NumPy is slow.
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    squares = [size**2 for size in np.bincount(labels, minlength=num_classes).tolist()]
    keys = {group: hashlib.sha256(f"folds/{group}".encode()).digest() for group in members}
    fold_of = [0] * len(labels)
    held, totals = [[0] * num_classes for _ in range(folds)], [0] * folds
    for group in sorted(members, key=lambda group: (-len(members[group]), keys[group])):
        rows = members[group]
        own = sorted(Counter(labels[row] for row in rows).items()) if len(rows) > 1 else [(labels[rows[0]], 1)]
        fold = _least_loaded(held, totals, own, squares)
        for label, count in own:
            held[fold][label] += count
        totals[fold] += len(rows)
        for row in rows:
            fold_of[row] = fold
    numbers = np.array(fold_of, dtype=np.int64)
    numbers.setflags(write=False)  # all callers have the same one
    fewest = np.array(held).min(axis=0)
    if fewest.min() > 0:
        return numbers, None
    label = int(fewest.argmin())
    return numbers, (label, sum(any(labels[row] == label for row in rows) for rows in members.values()))


def _least_loaded(
    held: Sequence[Sequence[int]], totals: Sequence[int], own: Sequence[tuple[int, int]], squares: Sequence[int]
) -> int:
    """Return the fold that has least of the classes in `own`, among equals the smallest.

    Loads are added class by class: in another order they would be rounded otherwise, and folds would not be as ever.

    Args:
        held: How many samples of each class each fold has.
        totals: How many it has of all.
        own: The classes of a group, and how many samples of each it has.
        squares: The square of the size of each class.
    """
    best, least, total = 0, math.inf, 0
    for fold, of_fold in enumerate(held):
        load = 0.0
        for label, count in own:
            load += of_fold[label] * count / squares[label]
        if load < least or (load == least and totals[fold] < total):
            best, least, total = fold, load, totals[fold]
    return best
