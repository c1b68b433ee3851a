"""Looks at every image of a data set: what cannot be read, and what stands in two splits.

The one module of this package that others import by its own name: SciPy, which it needs, takes more than a second to
import, and no training needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import torch

from orchestrator.data.dataset import Samples, Source
from orchestrator.data.duplicates import SIDE_PX, Fingerprints, fingerprints, near_pairs, one_thread
from orchestrator.data.groups import NO_GROUPS, torn_groups
from orchestrator.data.image_files import FileSamples, UnreadableError
from orchestrator.data.leak_report import Duplicate, FingerprintTable, Kind, Place, SplitReport, TornGroup, lines
from orchestrator.data.readable import with_readable_reference
from orchestrator.data.splits import Indices
from orchestrator.errors import DataError
from orchestrator.machine import num_cores
from orchestrator.waiting import counting, waiting_for

__all__ = ["Duplicate", "Parts", "SplitReport", "check_splits", "cross_duplicates", "find_unreadable", "lines"]

_MAX_THREADS = 8
_IMAGES_PER_CHUNK = 64
_BYTES_PER_CHUNK = 2**24
_NO_PRINTS = fingerprints(torch.empty(0, 3, SIDE_PX, SIDE_PX, dtype=torch.uint8))

Parts = Mapping[str, tuple[Samples, Indices]]
"""The samples of each split, and which of them belong to it."""


def _silent(num_images: int) -> None:
    pass


def check_splits(
    name: str,
    parts: Parts,
    class_names: Sequence[str],
    *,
    image_size: int | None,
    groups: str = NO_GROUPS,
    left_out: Sequence[str] = (),
    progress: Callable[[int], None] = _silent,
) -> SplitReport:
    """Reads every image of every split once, some at a time, and says what is wrong with them.

    Args:
        name: The data set's.
        parts: See ``Parts``.
        class_names: In the order of the labels.
        image_size: What the images are resized to, see ``Samples``; duplicates are looked for at this size.
        groups: Which images are known to belong together, see `describe_groups`.
        left_out: A message for each image that is in no split, since it cannot be read.
        progress: Is told after each chunk how many images it had.

    Raises:
        DataError: ``image_size`` is None, and the images are not square or none can be read.
    """
    if image_size is None:
        readable = with_readable_reference({split: samples for split, (samples, _) in parts.items()})
        parts = {split: (readable[split], indices) for split, (_, indices) in parts.items()}
    table, unreadable = _fingerprinted(name, parts, class_names, image_size, progress)
    exact = _exact_duplicates(table)
    return SplitReport(
        name,
        tuple(class_names),
        counts={split: _counts(samples, indices, class_names) for split, (samples, indices) in parts.items()},
        unreadable=(*left_out, *unreadable),
        exact_across=tuple(duplicate for duplicate in exact if len(duplicate.splits) > 1),
        near_across=_near_duplicates(*(table.of_split(split) for split in parts)),
        exact_within=tuple(duplicate for duplicate in exact if len(duplicate.splits) == 1),
        torn_groups=_torn(parts, class_names),
        groups=groups,
        table=table,
    )


@waiting_for("the files that cannot be read to be found")
def find_unreadable(source: Source, image_size: int | None) -> dict[str, str]:
    """Read every file of a data set, and return the ids of those that cannot be read, and why in a line.

    Args:
        source: The data set; its reference can be read.
        image_size: See ``Samples``.
    """
    found: dict[str, str] = {}
    for samples in source.parts.values():
        if isinstance(samples, FileSamples):
            for _, seen in _seen(samples, np.arange(len(samples.ids)), image_size):
                found |= {name: _on_one_line(error) for name, error in seen.errors.items()
                          if isinstance(error, UnreadableError)}  # fmt: skip
    return found


def cross_duplicates(left: FingerprintTable, right: FingerprintTable) -> tuple[Duplicate, ...]:
    """The pictures that stand in two data sets, the same pixels first; for information.

    Read at different sizes, the same picture has other pixels and is found as a near duplicate. Tables of the same name
    are taken for the same data set, of which this says nothing.
    """
    if left.name == right.name:
        return ()
    tables = [_with_its_name(left), _with_its_name(right)]
    places = tables[0].places + tables[1].places
    exact = _exact_duplicates(FingerprintTable("", places, Fingerprints.joined([left.prints, right.prints])))
    sides = [set(table.places) for table in tables]
    across = (duplicate for duplicate in exact if all(side.intersection(duplicate.places) for side in sides))
    return (*across, *_near_duplicates(*tables))


def _with_its_name(table: FingerprintTable) -> FingerprintTable:
    return replace(table, places=tuple(replace(place, split=f"{table.name} {place.split}") for place in table.places))


def _fingerprinted(
    name: str, parts: Parts, class_names: Sequence[str], image_size: int | None, progress: Callable[[int], None]
) -> tuple[FingerprintTable, list[str]]:
    """The images that can be read, and a message for each of the others."""
    places: list[Place] = []
    prints = [_NO_PRINTS]
    unreadable: list[str] = []
    for split, (samples, indices) in parts.items():
        try:
            for num_images, seen in _seen(samples, indices, image_size):
                places += _places(split, samples, seen.indices, class_names)
                prints.append(seen.prints)
                unreadable += map(_on_one_line, seen.errors.values())
                progress(num_images)
        except DataError as error:  # of the one file that holds all images of the split
            unreadable.append(_on_one_line(error))
    return FingerprintTable(name, tuple(places), Fingerprints.joined(prints)), unreadable


@dataclass(frozen=True)
class _Seen:
    """The fingerprints of the samples that can be read, and by id what is wrong with the others."""

    indices: Indices
    prints: Fingerprints
    errors: Mapping[str, DataError] = field(default_factory=dict)


def _seen(samples: Samples, indices: Indices, image_size: int | None) -> Iterator[tuple[int, _Seen]]:
    """Yields chunk by chunk how many images it has and what was seen; each thread holds the images of one chunk."""
    in_files = isinstance(samples, FileSamples)
    if not in_files and image_size is not None and image_size > samples.shape(None)[1]:
        image_size = None  # enlarging shows nothing more to compare
    size = max(1, min(_IMAGES_PER_CHUNK, _BYTES_PER_CHUNK // math.prod(samples.shape(image_size))))
    chunks = [indices[start : start + size] for start in range(0, len(indices), size)]
    # Samples in one array may be loaded by the first call, which two threads would do twice.
    pool = ThreadPoolExecutor(min(_MAX_THREADS, num_cores()) if in_files else 1)
    with one_thread():
        try:
            seen = pool.map(lambda chunk: _seen_at_once(samples, chunk, image_size), chunks)
            yield from zip(map(len, chunks), seen, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)  # after an interrupt the rest need not be read


def _seen_at_once(samples: Samples, indices: Indices, image_size: int | None) -> _Seen:
    """Reads all, or where that fails each half for itself, so that every file that cannot be read is found."""
    try:
        return _Seen(indices, fingerprints(samples.read(indices, image_size)))
    except DataError as error:
        if not isinstance(samples, FileSamples):
            raise
        if len(indices) == 1:
            return _Seen(indices[:0], _NO_PRINTS, {samples.ids[indices[0]]: error})
    halves = [_seen_at_once(samples, half, image_size) for half in np.array_split(indices, 2)]
    return _Seen(
        np.concatenate([half.indices for half in halves]),
        Fingerprints.joined([half.prints for half in halves]),
        {**halves[0].errors, **halves[1].errors},
    )


def _places(split: str, samples: Samples, indices: Indices, class_names: Sequence[str]) -> list[Place]:
    return [Place(split, samples.ids[index], class_names[samples.labels[index]]) for index in indices]


def _counts(samples: Samples, indices: Indices, class_names: Sequence[str]) -> tuple[int, ...]:
    return tuple(np.bincount(samples.labels[indices], minlength=len(class_names)).tolist())


def _exact_duplicates(table: FingerprintTable) -> list[Duplicate]:
    """In the order of the first of each."""
    by_digest: dict[bytes, list[Place]] = {}
    for digest, place in zip(table.prints.digests, table.places, strict=True):
        by_digest.setdefault(digest, []).append(place)
    return [Duplicate(tuple(places)) for places in by_digest.values() if len(places) > 1]


def _near_duplicates(*tables: FingerprintTable) -> tuple[Duplicate, ...]:
    """Between each two tables; the nearest first. Exact duplicates are left out."""
    pairs, found, done = [*combinations(tables, 2)], [], 0
    total = 2 * sum(len(table.places) for pair in pairs for table in pair)
    with counting("looking for pictures that look alike") as show:

        def looked(num: int) -> None:
            nonlocal done
            done += num
            show(done, total)

        looked(0)
        for left, right in pairs:
            near = near_pairs(left.prints.thumbnails, right.prints.thumbnails, looked)
            kinds = zip(near.rows.tolist(), near.distances.tolist(), near.mirrored.tolist(), strict=True)
            for (row, other), distance, mirrored in kinds:
                if left.prints.digests[row] != right.prints.digests[other]:
                    kind: Kind = "mirrored" if mirrored else "same picture"
                    found.append(Duplicate((left.places[row], right.places[other]), kind, distance))
    return tuple(sorted(found, key=lambda duplicate: (duplicate.distance, duplicate.places)))


def _torn(parts: Parts, class_names: Sequence[str]) -> tuple[TornGroup, ...]:
    labels = {
        split: {samples.ids[index]: class_names[samples.labels[index]] for index in indices}
        for split, (samples, indices) in parts.items()
    }
    return tuple(
        TornGroup(
            group, tuple(Place(split, name, labels[split][name]) for split, ids in by_split.items() for name in ids)
        )
        for group, by_split in torn_groups(parts).items()
    )


def _on_one_line(error: DataError) -> str:
    """Return what an error says as an entry of a list, of which there may be thousands."""
    return f"{error.args[0]} {error.remedy}".rstrip()
