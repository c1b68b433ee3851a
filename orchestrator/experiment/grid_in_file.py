"""What an experiment file sweeps, and what it draws: the lists beside the seed, and the ranges in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from orchestrator.experiment.augments import read_augments
from orchestrator.experiment.axes import read_datasets
from orchestrator.experiment.branch import DrawnColumn
from orchestrator.experiment.branches import read_branches
from orchestrator.experiment.grid import Recipes, combine
from orchestrator.experiment.model_entries import read_models
from orchestrator.experiment.problems import Problems
from orchestrator.experiment.ranges_in_file import (
    PlacedRange,
    find_ranges,
    note_idle_ranges,
    note_of_probe,
    note_undrawn,
    probes,
    settled,
)
from orchestrator.experiment.resources import Resources
from orchestrator.experiment.search_settings import SearchSettings
from orchestrator.experiment.settings import Configuration
from orchestrator.experiment.shown_names import check_names
from orchestrator.experiment.train_entries import Said, read_train

_SWEPT = ("dataset", "model", "augment")
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Around:
    """What the lists are read with.

    Attributes:
        resources: Of the experiment.
        names: What is called otherwise.
        seeds: Of the experiment.
        limit: How many cells there may be.
    """

    resources: Resources
    names: Mapping[str, str]
    seeds: tuple[int, ...]
    limit: int


def read_grid(
    problems: Problems, data: Data, around: Around, search: SearchSettings | None
) -> dict[str, tuple[Any, ...]]:
    """Return what is swept beside the seed, which combinations of it are trained, and what a search draws from.

    Args:
        problems: Takes the problems.
        data: The whole file.
        around: What it is read with.
        search: What the file says of it; None for nothing, or what cannot be read.
    """
    before = len(problems.noted)
    ranges = find_ranges(problems, data)
    are_ranges = len(problems.noted) == before
    # Of a search that cannot be read it is not known.
    is_drawn = search.is_drawn if search is not None else data.get("search") is not None
    if ranges and not is_drawn:
        note_undrawn(problems, ranges, search)
    # What is drawn is not all combinations: only what they mean is checked, and not with each seed.
    around = replace(around, seeds=(0,)) if is_drawn else around
    plain = are_ranges and not ranges
    grid = _combinations(problems, data, around) if plain else _at_ends(problems, data, around, ranges)
    lists = {name: tuple(dict.fromkeys(getattr(each, name) for each in grid)) for name in Configuration._fields}
    found: dict[str, tuple[Any, ...]] = {**lists, "configurations": grid}
    if is_drawn and grid and len(problems.noted) == before:
        found["drawn"] = _drawn(problems, data, around.resources)
        note_idle_ranges(problems, ranges, found["drawn"])
    return found


def _at_ends(problems: Problems, data: Data, around: Around, ranges: list[PlacedRange]) -> tuple[Configuration, ...]:
    """Return the configurations with all ranges at their low ends, and those at their high ends; check all ends."""
    found: list[Configuration] = []
    for number, values in enumerate(probes(ranges)):
        tried = problems.another()
        grid = _combinations(tried, settled(data, values), around)
        note_of_probe(problems, tried.noted, ranges, values)
        found += grid if number < 2 else ()
    in_columns = {each[:2]: None for each in found}
    return tuple(dict.fromkeys(each for column in in_columns for each in found if each[:2] == column))


def _combinations(problems: Problems, data: Data, around: Around) -> tuple[Configuration, ...]:
    recipes = Recipes(read_train(problems, "train", data.get("train")))
    datasets = read_datasets(problems, data.get("dataset"))
    models = read_models(problems, data.get("model"), limit=around.limit)
    elsewhere = dict.fromkeys((each.train, other.train) for each, other in product(datasets, models)) or [()]

    def batch_sizes(said: Said) -> Iterator[int | None]:
        return (size for each in elsewhere for size in recipes.saying(*each, said).batch_sizes)

    augments = read_augments(problems, data.get("augment"), batch_sizes=batch_sizes, limit=around.limit)
    if not problems.stand_at("name", "names", *_SWEPT):
        check_names(
            problems,
            around.names,
            augments=[spec for each in augments for _, spec in each.spec.specs],
            datasets=[each.spec for each in datasets],
            models=[each.spec for each in models],
        )
    return combine(
        problems,
        datasets,
        models,
        augments,
        recipes,
        resources=around.resources,
        num_seeds=len(around.seeds),
        limit=around.limit,
    )


def _drawn(problems: Problems, data: Data, resources: Resources) -> tuple[DrawnColumn, ...]:
    """Return what is drawn from, of a file that is valid."""
    section = read_train(problems, "train", data.get("train"))
    datasets, models = (
        read_datasets(problems, data.get("dataset")),
        read_models(problems, data.get("model"), limit=1 << 30),
    )
    known: dict[tuple[Said, Said], tuple[Any, ...]] = {}
    found = []
    for dataset, model in product(datasets, models):
        said = dataset.train, model.train
        if said not in known:
            known[said] = tuple(
                read_branches(data.get("augment"), section, *said, file=problems.file, resources=resources)
            )
        found.append(DrawnColumn(dataset.spec, model.spec, known[said]))
    return tuple(found)
