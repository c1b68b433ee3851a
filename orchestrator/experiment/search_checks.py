"""What a search has to be so that it can be run: where it meets the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise

from orchestrator.errors import UserError
from orchestrator.experiment.cells import expand
from orchestrator.experiment.column import Column, columns
from orchestrator.experiment.problems import NOT_GIVEN, Problems, suggest
from orchestrator.experiment.search_settings import SearchSettings
from orchestrator.experiment.settings import Configuration, Experiment
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.search import check_rungs, within
from orchestrator.storage import FIRST_SEED

# How long the learning rate of onecycle rises, as torch has it (`orchestrator.train.schedules`).
_RISE_OF_ONECYCLE = 0.3


def check_search(problems: Problems, experiment: Experiment) -> None:
    """Note what is wrong with the search of an experiment whose parts are valid; nothing if it has none."""
    search = experiment.search
    if search is None:
        return
    _check_columns(problems, experiment)
    _check_rows(problems, experiment, search)
    _check_kept(problems, search)
    _check_confirm(problems, experiment, search)
    if search.is_drawn and search.num_samples is None:
        allowed = f"an integer, at least 1, with search.sampler={search.sampler}: it says when to end"
        problems.add(
            "search.num_samples", NOT_GIVEN, allowed=allowed, remedy="Add num_samples: 24, or as many as suit."
        )
    if problems.noted:
        return
    found = columns(experiment)
    for column in found:
        _check_size(problems, column, search)
    _check_limit(problems, experiment, found)
    if not problems.noted:
        for column in found:
            _check_race(problems, experiment, column)


def _check_columns(problems: Problems, experiment: Experiment) -> None:
    """Note what would race with means that are none to compare."""
    if len({spec.over_folds for spec in experiment.dataset}) < len(experiment.dataset):
        remedy = "Search on one of them, fold: 0, and run what was found on all; or leave search out."
        problems.add("search", NOT_GIVEN, allowed="one fold of a data set, or none", remedy=remedy)
    epochs: dict[tuple[object, object], dict[int, None]] = {}
    for each in experiment.grid:
        epochs.setdefault((each.dataset, each.model), {})[each.train.epochs] = None
    for of_column in epochs.values():
        if len(of_column) > 1:
            problems.add(
                "train.epochs",
                sorted(of_column),
                allowed="one value in all configurations of a data set and model, as long as there is a search",
                remedy="Configurations are compared at the same epoch: write one, or an experiment for each.",
            )


def _check_rows(problems: Problems, experiment: Experiment, search: SearchSettings) -> None:
    """Note entries of ``keep`` and ``against`` that name no row."""
    known = list(dict.fromkeys(chain.from_iterable(_names(experiment))))
    against = search.confirm.against if search.confirm is not None else ()
    for key, rows in (("search.keep", search.keep), ("search.confirm.against", against)):
        for index, row in enumerate(rows):
            if row not in known:
                shown = f"one of: {', '.join(known)}"
                problems.add(f"{key}[{index}]", row, allowed=shown, remedy=suggest(row, known))


def _check_kept(problems: Problems, search: SearchSettings) -> None:
    if search.keep and search.race == "none":
        remedy = "Leave it out, or write race: ladder."
        problems.add(
            "search.keep", list(search.keep), allowed="nothing with search.race=none: none is stopped", remedy=remedy
        )


def _names(experiment: Experiment) -> Iterator[tuple[str, ...]]:
    """Yield what the rows may be called; of an augmentation that is drawn, its name alone."""
    drawn = {branch.augment for column in experiment.drawn for branch in column.branches if branch.axes}
    yield tuple(dict.fromkeys(each.augment.name for each in experiment.grid))
    fixed = [each for each in experiment.grid if each.augment.name not in drawn]
    one_seed = experiment.model_copy(update={"seed": experiment.seed[:1]})
    for cell in expand(one_seed, fixed):
        yield (cell.augment.label, cell.variant)


def _check_confirm(problems: Problems, experiment: Experiment, search: SearchSettings) -> None:
    if search.confirm is not None and max(experiment.seed) >= FIRST_SEED:
        problems.add(
            "seed",
            max(experiment.seed),
            allowed=f"below {FIRST_SEED} with search.confirm, whose seeds begin there",
            remedy="Write other seeds: one that has helped to choose cannot confirm.",
        )


def _check_size(problems: Problems, column: Column, search: SearchSettings) -> None:
    """Note a number of configurations that the space does not have, or that leaves nothing to draw."""
    num, space = column.num_samples, column.space
    if search.is_drawn and space.drawn and num <= len(space.fixed):
        problems.add(
            "search.num_samples",
            num,
            allowed=f"more than {len(space.fixed)}: so many are in it that have nothing to draw",
            remedy="Raise it, or write sampler: grid with lists.",
        )
    elif search.is_drawn and num < column.num_needed:
        remedy = "Raise it, or compare with less."
        problems.add(
            "search.num_samples",
            num,
            allowed=f"at least {column.num_needed}: what has nothing to draw, and one of each that is kept or compared",
            remedy=remedy,
        )
    if search.is_drawn and num > space.size:
        remedy = "Lower it; sampler: grid tries all." if not space.ranges else "Lower it, or widen a range."
        have = "the ranges and lists have" if space.ranges else "the lists have"
        problems.add("search.num_samples", num, allowed=f"1 to {space.size}: {have} no more", remedy=remedy)
    top = search.confirm.top if search.confirm is not None else None
    if top is not None and top > num:
        problems.add("search.confirm.top", top, allowed=f"1 to {num}: so many are tried", remedy="Lower it.")
    if search.batch is not None and search.batch > num:
        problems.add("search.batch", search.batch, allowed=f"1 to search.num_samples={num}", remedy="Lower it.")


def _check_limit(problems: Problems, experiment: Experiment, found: tuple[Column, ...]) -> None:
    num_cells = sum(column.num_samples for column in found) * len(experiment.seed)
    if num_cells > experiment.max_cells:
        problems.add(
            "max_cells",
            experiment.max_cells,
            allowed=f"at least {num_cells}: so many cells may the search have",
            remedy=f"Lower search.num_samples; or, if so many are meant: -o max_cells={num_cells}",
        )


def _check_race(problems: Problems, experiment: Experiment, column: Column) -> None:
    """Note a race that cannot be run, and a budget that does not suffice for it."""
    search = column.search
    written = search.race if isinstance(search.race, str) else [each.model_dump() for each in search.race]
    num = column.batch
    if search.race != "none":
        try:
            check_rungs(
                column.rungs_of(num),
                num_configurations=num,
                num_seeds=len(column.seeds),
                epochs=column.epochs,
                warmup_epochs=max(_warmup_epochs(each.train) for each in _of(experiment, column)),
            )
        except UserError as error:
            allowed = f"{error.allowed}; this is {error.args[0]}"
            problems.add("search.race", written, allowed=allowed, remedy=error.remedy or "Change it.")
            return
        _check_stops(problems, column, search)
    if search.budget is not None and search.budget.device_hours is not None and _is_one_rung(column):
        problems.add(
            "search.budget.device_hours",
            search.budget.device_hours,
            allowed="null where all are trained to the end at once: the first rung, which says how fast it is, is all",
            remedy="Write race: ladder, lower num_samples, or give what is too much as {epochs: N}.",
        )
    if search.budget is not None and search.budget.epochs is not None:
        try:
            within(column.rungs_of(num), num, epochs=search.budget.epochs, num_kept=column.num_kept)
        except UserError as error:
            remedy = "Raise it, or lower num_samples" + (" or batch." if search.batch else ".")
            problems.add("search.budget.epochs", search.budget.epochs, allowed=error.allowed, remedy=remedy)


def _is_one_rung(column: Column) -> bool:
    """Return whether nothing is left to decide once the first rung of a search is over."""
    found = column.batches()
    return len(found) == 1 and len(found[0].rungs) == 1


def _check_stops(problems: Problems, column: Column, search: SearchSettings) -> None:
    """Note a race that would stop none, and rungs that would."""
    num, last = column.batch, column.num_samples % column.batch or column.batch
    if isinstance(search.race, str):
        if len(column.rungs_of(num)) == 1:
            one = ("search.batch", search.batch) if search.batch is not None else ("search.race", search.race)
            allowed = "a race of 3 configurations at least: of fewer, each is trained to the end"
            problems.add(
                *one, allowed=allowed, remedy="Raise batch." if search.batch is not None else "Leave race out."
            )
        return
    keeps = [rung.keep for rung in search.race]
    if len(keeps) > 1 and keeps[0] >= num > 1:
        problems.add(
            "search.race[0].keep",
            keeps[0],
            allowed=f"1 to {num - 1}, fewer than the {num} configurations that race",
            remedy="Lower it, or leave the rung out: it would stop none.",
        )
    elif len(keeps) > 1 and keeps[0] >= last:
        problems.add(
            "search.race[0].keep",
            keeps[0],
            allowed=f"fewer than the {last} configurations of the last batch",
            remedy=f"Lower it, or make num_samples a multiple of batch: {column.num_samples - last}, e.g.",
        )
    for place, (before, keep) in enumerate(pairwise(keeps[:-1]), start=1):
        if keep == before:
            remedy = "Lower it, or leave the rung out: it would stop none."
            problems.add(f"search.race[{place}].keep", keep, allowed=f"1 to {before - 1}", remedy=remedy)
    if keeps[-1] != 1:
        remedy = "Write keep: 1; confirm: {top: 3} trains more than the winner on fresh seeds."
        problems.add(f"search.race[{len(keeps) - 1}].keep", keeps[-1], allowed="1 in the last rung", remedy=remedy)


def _of(experiment: Experiment, column: Column) -> list[Configuration]:
    return [each for each in experiment.grid if each[:2] == (column.dataset, column.model)]


def _warmup_epochs(train: TrainSettings) -> float:
    """Return how long the learning rate grows."""
    return _RISE_OF_ONECYCLE * train.epochs if train.schedule == "onecycle" else train.warmup_epochs
