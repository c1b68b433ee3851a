"""Decoding the images of a sweep ahead of its workers, with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from orchestrator.amounts import counted, some
from orchestrator.data import OnProgress, decode_dataset
from orchestrator.errors import DataError
from orchestrator.experiment import DatasetSpec, Experiment
from orchestrator.plan import check_cache, distinct_images
from orchestrator.terminal import counting_bar, print_lines


def decode_images(specs: Sequence[DatasetSpec], experiment: Experiment, console: Console) -> dict[DatasetSpec, str]:
    """Decode what the cache of this machine lacks of these data sets.

    Returns:
        What is wrong with those that cannot be decoded: an image cannot be read, or the cache has no room.

    Raises:
        DataError: There cannot be such a cache, or it may not hold all of these data sets at a time.
    """
    problems: dict[DatasetSpec, str] = {}
    check_cache(specs, experiment)
    cache = experiment.cache.open()
    for spec in distinct_images(specs):
        decoded = 0
        with counting_bar(console, f"decoding {spec.name}") as show:

            def count(done: int, total: int, show: OnProgress = show) -> None:
                nonlocal decoded
                decoded = done
                show(done, total)

            try:
                found = decode_dataset(
                    spec.name, experiment.data_in, **spec.decode_options(), cache=cache, on_progress=count
                )
            except DataError as error:
                problems[spec] = f"{experiment.place_of(spec)}: {error}"
                continue
        if decoded:
            print_lines(console, [f"decoded {counted(decoded, 'image')} of {spec.name} into {cache.dir}"])
        if found.unreadable:
            number, names = counted(len(found.unreadable), "image"), some(list(found.unreadable))
            print_lines(console, [f"{spec.label}: {number} left out that cannot be read: {names}"])
    return problems
