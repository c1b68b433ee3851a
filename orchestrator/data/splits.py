"""Stratified parts of a data set that are the same everywhere and for ever.

A sample's place in the order is the SHA-256 of its id. No generator is involved, so a split depends neither on a seed
nor on the version of a library, and every cell of every sweep has the same one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError

Indices = NDArray[np.int64]


def stratified_counts(class_counts: Indices, total: int, *, minimum: int, left: int = 0) -> Indices:
    """How many samples of each class make up a part of ``total`` samples.

    Proportional to the classes' sizes by largest remainders, but at least ``minimum`` of each, and not the last
    ``left`` of any.

    Args:
        class_counts: int64 [K]: the size of each class, each at least ``minimum + left``.
        total: From ``K * minimum`` to the sum of ``class_counts - left``.
        minimum: At least 0.
        left: At least 0.

    Returns:
        int64 [K], summing to ``total``, each at most the size of its class less ``left``.
    """
    most = class_counts - left
    assert minimum * len(class_counts) <= total <= most.sum(), (class_counts, total, minimum, left)
    quota = total * class_counts / class_counts.sum()
    counts: Indices = np.clip(np.floor(quota).astype(np.int64), minimum, most)
    while counts.sum() > total:
        counts[np.argmax(np.where(counts > minimum, counts - quota, -np.inf))] -= 1
    while counts.sum() < total:
        counts[np.argmax(np.where(counts < most, quota - counts, -np.inf))] += 1
    return counts


def stratified_part(
    ids: Sequence[str], labels: Indices, total: int, *, minimum: int, salt: str, left: int = 0
) -> Indices:
    """The indices of a stratified part of ``total`` samples, ascending.

    Args:
        ids: The samples' ids.
        labels: int64 [n]; every class from 0 to the largest label occurs.
        total: The size of the part, see ``stratified_counts``.
        minimum: At least this many of each class.
        left: So many of each class are not in it.
        salt: What the part is for: parts for different purposes are independent of each other.

    Returns:
        int64 [total].
    """
    keys = [hashlib.sha256(f"{salt}/{name}".encode()).digest() for name in ids]
    order = np.array(sorted(range(len(ids)), key=keys.__getitem__))
    sizes = np.bincount(labels)
    counts = stratified_counts(sizes, total, minimum=minimum, left=left)
    by_class = np.split(order[np.argsort(labels[order], kind="stable")], np.cumsum(sizes)[:-1])
    chosen = [of_class[:count] for of_class, count in zip(by_class, counts, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _grouped_part(
    ids: Sequence[str],
    labels: Indices,
    groups: Sequence[str] | None,
    class_names: Sequence[str],
    *,
    total: int,
    salt: str,
) -> Indices:
    """The indices of a stratified part of about ``total`` samples that tears no group apart, ascending.

    Whole groups are taken in the order of their hashes, as long as each of their classes has room in its share; of each
    class at least one, the smallest if need be, and never all.

    Args:
        ids: The samples' ids.
        labels: int64 [n]; every class from 0 to the largest label occurs, in two groups or more.
        groups: The group of each sample; None: each is a group of its own.
        class_names: In the order of the labels.
        total: The size of the part, at least the number of classes.
        salt: What the part is for, see ``stratified_part``.

    Returns:
        int64, of at most ``total`` samples unless a class has only larger groups.

    Raises:
        DataError: Whatever groups are taken, a class is missing on one side.
    """
    if groups is None:
        return stratified_part(ids, labels, total, minimum=1, left=1, salt=salt)
    sizes = np.bincount(labels)
    shares = stratified_counts(sizes, total, minimum=1, left=1).tolist()
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    order = sorted(members, key=lambda group: hashlib.sha256(f"{salt}/{group}".encode()).digest())
    label_of, size_of = labels.tolist(), sizes.tolist()
    taken: Counter[int] = Counter()
    chosen: list[str] = []

    def classes(group: str) -> Counter[int]:
        return Counter(label_of[index] for index in members[group])

    for group in order:
        own = classes(group)
        if all(taken[label] + count <= shares[label] for label, count in own.items()):
            chosen.append(group)
            taken.update(own)
    lacking: dict[int, list[str]] = {label: [] for label in range(len(sizes)) if taken[label] == 0}
    for group in order if lacking else ():
        for label in lacking.keys() & classes(group):
            lacking[label].append(group)
    for label, of_class in lacking.items():
        if taken[label] == 0:
            with_it = [
                group
                for group in of_class
                if all(taken[other] + count < size_of[other] for other, count in classes(group).items())
            ]
            if not with_it:
                raise DataError(
                    f"class {class_names[label]!r} cannot be split: each of its groups has the last images of a class.",
                    remedy="Look at what says which images belong together, or add images.",
                )
            smallest = min(with_it, key=lambda group: len(members[group]))
            chosen.append(smallest)
            taken.update(classes(smallest))
    return np.sort(np.array([index for group in chosen for index in members[group]], dtype=np.int64))


def group_holdout(
    ids: Sequence[str],
    labels: Indices,
    groups: Sequence[str] | None,
    class_names: Sequence[str],
    *,
    fraction: float,
    salt: str,
) -> tuple[Indices, Indices]:
    """Split off a stratified part of whole groups: ``fraction`` of the samples, at least one group of each class.

    Returns:
        The indices of what stays, and of what is split off; both ascending, and both with every class.

    Raises:
        DataError: A class has a single sample, or stands in a single group.
    """
    _require_two_per_class(labels, class_names)
    if groups is not None:
        _require_two_groups_per_class(labels, groups, class_names)
    num_classes = len(class_names)
    total = min(max(round(fraction * len(labels)), num_classes), len(labels) - num_classes)
    part = _grouped_part(ids, labels, groups, class_names, total=total, salt=salt)
    return np.setdiff1d(np.arange(len(labels), dtype=np.int64), part), part


def training_indices(
    ids: Sequence[str], labels: Indices, class_names: Sequence[str], *, num_train: int | None
) -> Indices:
    """The samples that training and validation share: a stratified part of ``num_train``, or all of them.

    Raises:
        DataError: ``num_train`` is more than there are, or leaves a class with fewer than two samples.
    """
    if num_train is None:
        return np.arange(len(labels), dtype=np.int64)
    if not 2 * len(class_names) <= num_train <= len(labels):
        raise DataError(
            f"num_train={num_train} is not possible: the training set has {len(labels)} images and each of its "
            f"{len(class_names)} classes needs two.",
            remedy=f"Set dataset.num_train from {2 * len(class_names)} to {len(labels)}.",
        )
    _require_two_per_class(labels, class_names)
    return stratified_part(ids, labels, num_train, minimum=2, salt="num_train")


def validation_indices(
    ids: Sequence[str],
    labels: Indices,
    class_names: Sequence[str],
    *,
    fraction: float,
    groups: Sequence[str] | None = None,
) -> Indices:
    """The stratified validation part: ``fraction`` of the samples, rounded, but at least one of each class.

    At least one sample of each class remains for training, too, and no group is torn apart.

    Raises:
        DataError: A class has a single sample, or a single group.
    """
    return group_holdout(ids, labels, groups, class_names, fraction=fraction, salt="validation")[1]


def _require_two_per_class(labels: Indices, class_names: Sequence[str]) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    if counts.min() < 2:
        raise DataError(
            f"class {class_names[int(counts.argmin())]!r} has {counts.min()} training image: part of the training set "
            "becomes another split, so each class needs two.",
            remedy="Add images, or ship the set with splits of its own.",
        )


def _require_two_groups_per_class(labels: Indices, groups: Sequence[str], class_names: Sequence[str]) -> None:
    pairs = set(zip(groups, labels.tolist(), strict=True))
    counts = np.bincount([label for _, label in pairs], minlength=len(class_names))
    if counts.min() < 2:
        raise DataError(
            f"class {class_names[int(counts.argmin())]!r} has {counts.min()} group of images that belong together: "
            "part of the training set becomes another split, so each class needs two.",
            remedy="Add images, or raise dataset.num_train if it is set.",
        )


def split_hash(name: str, splits: Mapping[str, tuple[Sequence[str], Indices]], *, left_out: Sequence[str] = ()) -> str:
    """SHA-256 (64 hex digits) over which samples, with which labels, are in which split of which data set.

    It covers the data set's name and, split by split and in order, the ids and the labels; not the pixels, the names of
    the classes, or where the files lie.

    Args:
        name: The data set's.
        splits: The ids of each split, and its labels: int64 [n].
        left_out: The ids of what is in none of them since it cannot be read.
    """
    digest = hashlib.sha256(name.encode())
    for split, (ids, labels) in splits.items():
        # The terminators keep ("a", "b") apart from ("ab",): neither occurs in a name. There is a label for each id.
        digest.update(f"\0\0{split}".encode())
        digest.update("".join(f"\0{sample}" for sample in ids).encode())
        digest.update(b"\0\0" + labels.astype("<i8").tobytes())
    if left_out:
        digest.update("".join(f"\0{sample}" for sample in ("\0left out", *left_out)).encode())
    return digest.hexdigest()
