"""What is done with the data of an experiment before it is trained on: decoding, checking, and saying what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from orchestrator.data import DATASETS, Cache, check_dataset, decode_dataset, open_dataset, root_of, split_samples
from orchestrator.data.check import SplitReport, check_splits, cross_duplicates, lines
from orchestrator.data.decode import shape_of
from orchestrator.errors import DataError

if TYPE_CHECKING:
    from orchestrator.config import Experiment
    from orchestrator.dataset_spec import DatasetSpec


def distinct_images(specs: Iterable[DatasetSpec]) -> Iterator[DatasetSpec]:
    """Yield one of the data sets for each entry of the cache that they need."""
    seen = set()
    for spec in specs:
        identity = (spec.name, *spec.decode_options().values())
        if identity not in seen and not DATASETS[spec.name].embedded:
            seen.add(identity)
            yield spec


def cache_bytes(specs: Iterable[DatasetSpec], experiment: Experiment) -> int:
    """Return what the cache is going to grow by for these data sets; they must be there.

    Raises:
        DataError: The images of a set have no common shape.
    """
    cache, needed = experiment.cache.open(), 0
    for spec in distinct_images(specs):
        root = root_of(spec.name, experiment.data_dir, spec.path)
        if not cache.path_of(spec.name, root, spec.stored_size).exists():
            count, (channels, height, width) = shape_of(
                open_dataset(spec.name, experiment.data_dir, path=spec.path), spec.stored_size
            )
            needed += count * channels * height * width
    return needed


def decode_images(specs: Iterable[DatasetSpec], experiment: Experiment, console: Console) -> None:
    """Decode what the cache of this machine lacks of these data sets, with a progress bar.

    Raises:
        DataError: A set is missing, an image cannot be read, or the cache has no room.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for spec in distinct_images(specs):
            task = progress.add_task(f"decoding {spec.name}", total=None)
            decoded = 0

            def show(done: int, total: int, task: int = task) -> None:
                nonlocal decoded
                decoded = done
                progress.update(task, completed=done, total=total)  # type: ignore[arg-type]

            cache = experiment.cache.open()
            decode_dataset(spec.name, experiment.data_dir, **spec.decode_options(), cache=cache, on_progress=show)
            progress.remove_task(task)
            if decoded:
                console.print(Text(f"decoded {decoded:,} images of {spec.name} into {cache.dir}"), soft_wrap=True)


def check_images(experiment: Experiment, console: Console) -> bool:
    """Print what is wrong with the images and splits of an experiment; return whether nothing is."""
    all_is_well, tables = True, []
    identities = {(spec.name, *spec.decode_options().values(), *spec.split_options().values()): spec
                  for spec in experiment.dataset}  # fmt: skip
    for spec in identities.values():
        try:
            report = _checked(spec, experiment, console)
        except DataError as error:
            # One set that cannot be read hides nothing about the others.
            _print_lines(console, [f"{spec.label}: {error}", *(f"  {name}" for name in error.details)])
            all_is_well = False
            continue
        _print_lines(console, lines(report))
        all_is_well = all_is_well and report.ok
        tables.append(report.table)
    for left, right in combinations(tables, 2):
        if shared := cross_duplicates(left, right):
            _print_lines(console, [f"{left.name} and {right.name} share {len(shared)} pictures:", *map(str, shared)])
    return all_is_well


def _checked(spec: DatasetSpec, experiment: Experiment, console: Console) -> SplitReport:
    source = open_dataset(spec.name, experiment.data_dir, path=spec.path)
    parts = split_samples(source, **spec.split_options())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
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


def render_known(data_dir: Path, cache: Cache) -> Table:
    """Return which data sets are known, where each is expected, and what is there."""
    table = Table("data set", "there", "decoded", "what it is, and where it is expected", box=SIMPLE_HEAD)
    sizes: dict[str, int] = {}
    for entry in cache.entries():
        sizes[entry.dataset] = sizes.get(entry.dataset, 0) + entry.size_bytes
    for name, info in DATASETS.items():
        place, state = str(data_dir / name), _state(name, data_dir)
        if info.embedded:
            place, state = "", "embedded"
        elif info.path_option is not None:
            place, state = f"{data_dir}/{info.path_option.upper()}", "your own"
        elif state == "no" and info.download:
            state = "no; --download"
        decoded = decimal(sizes[name]) if name in sizes else ""
        table.add_row(name, state, decoded, Text(f"{info.description}\n{place}".strip(), overflow="fold"))
    return table


def _state(name: str, data_dir: Path) -> str:
    try:
        check_dataset(name, data_dir)
    except DataError as error:
        return "no" if not (data_dir / name).exists() else f"damaged: {error}"
    return "yes"
