"""The images of an experiment: what they take in the cache, and what is wrong there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.data import (
    DATASETS,
    Images,
    Source,
    check_dataset,
    decode_dataset,
    describe_groups,
    open_dataset,
    root_of,
    shape_of,
    split_samples,
    without,
)
from orchestrator.errors import DataError
from orchestrator.experiment import DatasetSpec, Experiment

if TYPE_CHECKING:
    from orchestrator.data.leaks import SplitReport


def distinct_images(specs: Iterable[DatasetSpec]) -> Iterator[DatasetSpec]:
    """Yield one of the data sets for each entry of the cache that they need."""
    seen = set()
    for spec in specs:
        if spec.images_id not in seen and not DATASETS[spec.name].embedded:
            seen.add(spec.images_id)
            yield spec


def num_packed(experiment: Experiment) -> int:
    """Return how many data sets of an experiment nodes decode: from two on they are placed on nodes."""
    return sum(1 for _ in distinct_images(experiment.dataset))


def cache_bytes(specs: Iterable[DatasetSpec], experiment: Experiment) -> int:
    """Return what the cache is going to grow by for these data sets; they must be there.

    Raises:
        DataError: The images of a set have no common shape.
    """
    return sum(decoded_bytes(spec, experiment) for spec in distinct_images(specs) if not _is_cached(spec, experiment))


def check_cache(specs: Iterable[DatasetSpec], experiment: Experiment) -> None:
    """Raise DataError if there cannot be such a cache, if what it lacks cannot be written, or if it may not hold all
    of these data sets at a time: they would displace each other.
    """
    cache, cached = experiment.cache.open(), list(distinct_images(specs))
    if cached:
        cache.check()
        try:
            cache.check_writable()
        except DataError:
            # Whatever is decoded already is only read.
            if not all(_is_cached(spec, experiment) for spec in cached):
                raise
    if cache.limit_gib is None:
        return
    needed = 0
    for spec in cached:
        with suppress(DataError):  # what is wrong with a set is said elsewhere
            needed += decoded_bytes(spec, experiment)
    cache.check_limit(needed, what="the decoded images of all data sets")


def _is_cached(spec: DatasetSpec, experiment: Experiment) -> bool:
    images = images_of(spec, experiment)
    return images.root.exists() and experiment.cache.open().path_of(images).exists()


def images_of(spec: DatasetSpec, experiment: Experiment) -> Images:
    """Return what the entry of the cache holds that a data set needs."""
    root = root_of(spec.name, experiment.data_in, spec.path)
    skips, code = spec.on_unreadable == "skip", DATASETS[spec.name].code
    return Images(spec.name, root, spec.stored_size, spec.layout, skips, code)


def pixel_hash_of(spec: DatasetSpec, experiment: Experiment) -> str | None:
    """Return the hash of the pixels of a data set that is there; None if they have not been decoded as they are now.

    A set that is embedded is decoded for it, if this machine has the memory.
    """
    if DATASETS[spec.name].embedded:
        with suppress(DataError):
            return decode_dataset(spec.name, experiment.data_in, **spec.decode_options()).pixel_hash
        return None
    return experiment.cache.open().pixel_hash(images_of(spec, experiment))


def decoded_bytes(spec: DatasetSpec, experiment: Experiment) -> int:
    """Return what the entry of the cache takes, whether it is there or not; raise DataError as `cache_bytes`."""
    source = open_dataset(spec.name, experiment.data_in, **spec.open_options())
    count, shape = shape_of(source, spec.stored_size)
    return count * math.prod(shape)


def readable_source(spec: DatasetSpec, experiment: Experiment) -> tuple[Source, Mapping[str, str] | None]:
    """Return a data set without what cannot be read, and the ids of that, and why; None where nobody has tried yet.

    Raises:
        DataError: It is not there.
    """
    if spec.on_unreadable == "skip":
        decoded = experiment.cache.open().found(images_of(spec, experiment))
        if decoded is not None:
            check_dataset(spec.name, experiment.data_in, **spec.check_options())
            return decoded.source, decoded.unreadable
    source = open_dataset(spec.name, experiment.data_in, **spec.open_options())
    return source, None if spec.on_unreadable == "skip" else {}


def distinct_splits(specs: Iterable[DatasetSpec]) -> list[DatasetSpec]:
    """Return one of the data sets for each that has other images or other splits."""
    return list({(spec.images_id, *spec.split_options().values()): spec for spec in specs}.values())


def check_images(spec: DatasetSpec, experiment: Experiment, *, on_progress: Callable[[int, int], None]) -> SplitReport:
    """Read all images of a data set and return what is wrong with them and with the splits.

    Args:
        spec: The data set.
        experiment: Says where it lies.
        on_progress: Called with the number of images that were read, and of all.

    Raises:
        DataError: It is not there, or its labels and images disagree; then the error has `details`.
    """
    # SciPy, which takes more than a second; who plans, or places workers, needs none.
    from orchestrator.data.leaks import check_splits, find_unreadable

    source, left_out = readable_source(spec, experiment)
    if left_out is None:
        # Splits are made of what can be read, so that it is read twice.
        left_out = find_unreadable(source, spec.stored_size)
        source = without(source, left_out)
    parts = split_samples(source, **spec.split_options())
    total = sum(len(indices) for _, indices in parts.values())
    done = 0

    def advance(number: int) -> None:
        nonlocal done
        done += number
        on_progress(done, total)

    name = " ".join(filter(None, (spec.name, spec.path)))
    return check_splits(
        name,
        parts,
        source.class_names,
        image_size=spec.stored_size,
        groups=describe_groups(source),
        left_out=tuple(left_out.values()),
        progress=advance,
    )
