"""What a search would try, train and leave waiting, at most: known before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.amounts import counted
from orchestrator.errors import UserError
from orchestrator.experiment import Budget, Column, Experiment, columns
from orchestrator.search import MostCells, Rung, most_cells, most_epochs, within


@dataclass(frozen=True)
class Searched:
    """What a column trains at most.

    Attributes:
        column: The column.
        races: How many configurations race in each batch, and over which rungs: those that the budget allows.
        epochs: Of all its cells together.
        of_all: What all would train to the end.
        cells: How many there are, summed over batches: what is stopped in one stays while others race.
    """

    column: Column
    races: tuple[tuple[int, tuple[Rung, ...]], ...]
    epochs: int
    of_all: int
    cells: MostCells


def searched(experiment: Experiment) -> tuple[Searched, ...]:
    """Return what each column of a search trains at most; nothing without a search.

    Raises:
        UserError: The budget in epochs does not suffice for the first batch.
    """
    return tuple(_searched(column) for column in columns(experiment))


def _searched(column: Column) -> Searched:
    races = tuple(_races(column))
    kept = column.num_kept
    cells = [most_cells(rungs, num, num_kept=kept) for num, rungs in races]
    return Searched(
        column,
        races,
        epochs=sum(most_epochs(rungs, num, num_kept=kept) for num, rungs in races),
        of_all=column.num_samples * len(column.seeds) * column.epochs,
        cells=MostCells(*(sum(each) for each in zip(*cells, strict=True))),
    )


def _races(column: Column) -> Iterator[tuple[int, tuple[Rung, ...]]]:
    budget = column.search.budget.epochs if column.search.budget is not None else None
    for first in range(0, column.num_samples, column.batch):
        num = min(column.batch, column.num_samples - first)
        rungs = column.rungs_of(num)
        if budget is not None:
            try:
                rungs = within(rungs, num, epochs=budget, num_kept=column.num_kept)
            except UserError:
                if not first:
                    raise
                return
            budget -= most_epochs(rungs, num, num_kept=column.num_kept)
        yield num, rungs


def search_lines(experiment: Experiment) -> list[str]:
    """Return what a search would do, a line for each subject; no line without a search."""
    if experiment.search is None:
        return []
    found = searched(experiment)
    return [*_asked(found), *dict.fromkeys(_rungs(each) for each in found), _most(found)]


def _asked(found: Sequence[Searched]) -> Iterator[str]:
    for each in found:
        column, search = each.column, each.column.search
        asked = sum(num for num, _ in each.races)
        num = counted(column.num_samples, "configuration")
        num = num if asked == column.num_samples else f"{asked:,} of {num}, as many as the budget allows"
        if search.sampler == "grid":
            how = "all of the lists"
        else:
            how = f"{search.sampler}, seed {search.seed or 0}"
            how += f", in batches of {column.batch}" if column.batch < column.num_samples else ""
            how += ", told what is finished already" if search.warm_start else ""
        place = f" of {column.dataset.label} / {column.model.label}" if len(found) > 1 else ""
        yield f"search:    {num}{place}: {how}"


def _rungs(each: Searched) -> str:
    column = each.column
    if column.search.race == "none":
        return f"race:      none: all are trained to the end, with {counted(len(column.seeds), 'seed')}"
    num, (*rungs, last) = each.races[0]
    steps = [f"{counted(rung.seeds, 'seed')} to epoch {rung.epochs}, {min(rung.keep, num)} go on" for rung in rungs]
    steps.append(f"{counted(last.seeds, 'seed')} to epoch {last.epochs}")
    kept = f"; never stopped: {', '.join(column.search.keep)}" if column.search.keep else ""
    return f"race:      {num}{' at a time' if num < column.num_samples else ''}: {'; '.join(steps)}{kept}"


def _most(found: Sequence[Searched]) -> str:
    epochs, of_all = sum(each.epochs for each in found), sum(each.of_all for each in found)
    cells = sum(each.cells.started for each in found)
    share = f" of {of_all:,}, {100 * epochs / of_all:.0f} %" if epochs < of_all else ""
    hours = _hours(found[0].column.search.budget)
    return f"epochs:    at most {epochs:,}{share}, in {counted(cells, 'cell')} at most{hours}"


def _hours(budget: Budget | None) -> str:
    if budget is None or budget.device_hours is None:
        return ""
    return (
        f"; fewer if {budget.device_hours:g} device hours are fewer: the first rung says how fast an epoch is, "
        "and that is kept"
    )
