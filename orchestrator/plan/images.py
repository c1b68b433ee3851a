"""What is done with the data of an experiment before it is trained on: decoding, checking, and saying what is there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.amounts import bytes_text, counted
from orchestrator.data import (
    DATASETS,
    Cache,
    check_dataset,
    open_dataset,
    root_of,
    shape_of,
    split_samples,
)
from orchestrator.data.leaks import SplitReport, check_splits, cross_duplicates, lines
from orchestrator.errors import DataError
from orchestrator.exit_codes import DONE, INCOMPLETE, WRONG_INPUT
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.terminal import image_bar


def distinct_images(specs: Iterable[DatasetSpec]) -> Iterator[DatasetSpec]:
    """Yield one of the data sets for each entry of the cache that they need."""
    seen = set()
    for spec in specs:
        if spec.images_id not in seen and not DATASETS[spec.name].embedded:
            seen.add(spec.images_id)
            yield spec


def cache_bytes(specs: Iterable[DatasetSpec], experiment: Experiment) -> int:
    """Return what the cache is going to grow by for these data sets; they must be there.

    Raises:
        DataError: The images of a set have no common shape.
    """
    cache = experiment.cache.open()
    return sum(
        _entry_bytes(spec, experiment)
        for spec in distinct_images(specs)
        if not cache.path_of(spec.name, root_of(spec.name, experiment.data_dir, spec.path), spec.stored_size).exists()
    )


def check_cache(specs: Iterable[DatasetSpec], experiment: Experiment) -> None:
    """Raise DataError if there cannot be such a cache, or if it may not hold all of these data sets at a time: they
    would displace each other.
    """
    cache, cached = experiment.cache.open(), list(distinct_images(specs))
    if cached:
        cache.check()
    if cache.limit_gib is None:
        return
    needed = 0
    for spec in cached:
        with suppress(DataError):  # what is wrong with a set is said elsewhere
            needed += _entry_bytes(spec, experiment)
    cache.check_limit(needed, what="the decoded images of all data sets")


def _entry_bytes(spec: DatasetSpec, experiment: Experiment) -> int:
    source = open_dataset(spec.name, experiment.data_dir, path=spec.path)
    count, shape = shape_of(source, spec.stored_size)
    return count * math.prod(shape)


def check_images(experiment: Experiment, console: Console) -> int:
    """Print what is wrong with the images and splits of an experiment and return the exit code."""
    code, tables = DONE, []
    for spec in {(spec.images_id, *spec.split_options().values()): spec for spec in experiment.dataset}.values():
        try:
            report = _checked(spec, experiment, console)
        except DataError as error:
            # One set that cannot be read hides nothing about the others.
            _print_lines(console, [f"error: {spec.label}: {error}", *(f"  {name}" for name in error.details)])
            # Labels and images that disagree are what was asked for; anything else is a set that was not looked at.
            code = max(code, INCOMPLETE if error.details else WRONG_INPUT)
            continue
        _print_lines(console, lines(report))
        code = max(code, DONE if report.ok else INCOMPLETE)
        tables.append(report.table)
    for left, right in combinations(tables, 2):
        if shared := cross_duplicates(left, right):
            number = counted(len(shared), "picture")
            _print_lines(console, [f"{left.name} and {right.name} share {number}:", *map(str, shared)])
    return code


def _checked(spec: DatasetSpec, experiment: Experiment, console: Console) -> SplitReport:
    source = open_dataset(spec.name, experiment.data_dir, path=spec.path)
    parts = split_samples(source, **spec.split_options())
    with image_bar(console) as progress:
        task = progress.add_task(f"reading {spec.name}", total=sum(len(indices) for _, indices in parts.values()))
        return check_splits(
            " ".join(filter(None, (spec.name, spec.path))),
            parts,
            source.class_names,
            image_size=spec.stored_size,
            progress=lambda number: progress.advance(task, number),
        )


def _print_lines(console: Console, texts: Iterable[str]) -> None:
    for text in texts:
        console.print(Text(text), soft_wrap=True)


def print_known(data_dir: Path, cache: Cache, console: Console) -> None:
    """Print which data sets are known, what is there of them, and where they are expected."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for title in ("data set", "there", "decoded", "what it is"):
        table.add_column(title, no_wrap=title != "what it is")
    sizes: dict[str, int] = {}
    for entry in cache.entries():
        sizes[entry.dataset] = sizes.get(entry.dataset, 0) + entry.size_bytes
    damaged = []
    for name, info in DATASETS.items():
        state = _state(name, data_dir)
        if state not in _STATES:
            damaged.append(f"{name}: {state}")
            state = "damaged"
        table.add_row(name, state, bytes_text(sizes[name]) if name in sizes else "", Text(info.description))
    console.print(table)
    _print_lines(
        console,
        [
            "",
            f"data sets: {data_dir}/NAME (data_dir); your own where FOLDER or FILE says, below {data_dir}",
            f"decoded images: {cache.dir} (cache.dir)",
            "--download: zetasweep run --download fetches it",
            *damaged,
        ],
    )


_STATES = ("yes", "no", "--download", "embedded", "your own")


def _state(name: str, data_dir: Path) -> str:
    """One of `_STATES`, or what is wrong with the files that are there."""
    info = DATASETS[name]
    if info.embedded:
        return "embedded"
    if info.path_option is not None:
        return "your own"
    try:
        check_dataset(name, data_dir)
    except DataError as error:
        if (data_dir / name).exists():
            return str(error)
        return "--download" if info.download else "no"
    return "yes"
