"""Decoding the images of a sweep ahead of its workers, with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from orchestrator.amounts import counted
from orchestrator.data import decode_dataset
from orchestrator.errors import DataError
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.plan.images import check_cache, distinct_images
from orchestrator.terminal import image_bar, print_lines


def decode_images(specs: Sequence[DatasetSpec], experiment: Experiment, console: Console) -> dict[DatasetSpec, str]:
    """Decode what the cache of this machine lacks of these data sets.

    Returns:
        What is wrong with those that cannot be decoded: an image cannot be read, or the cache has no room.

    Raises:
        DataError: There cannot be such a cache, or it may not hold all of these data sets at a time.
    """
    problems: dict[DatasetSpec, str] = {}
    check_cache(specs, experiment)
    with image_bar(console) as bar:
        for spec in distinct_images(specs):
            task = bar.add_task(f"decoding {spec.name}", total=None)
            decoded = 0

            def show(done: int, total: int, task: int = task) -> None:
                nonlocal decoded
                decoded = done
                bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

            cache = experiment.cache.open()
            try:
                decode_dataset(spec.name, experiment.data_dir, **spec.decode_options(), cache=cache, on_progress=show)
            except DataError as error:
                problems[spec] = str(error)
                decoded = 0
            bar.remove_task(task)
            if decoded:
                print_lines(console, [f"decoded {counted(decoded, 'image')} of {spec.name} into {cache.dir}"])
    return problems
