"""What a search would try, train and leave waiting, at most: known before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.amounts import counted
from orchestrator.experiment import Column, Experiment, columns
from orchestrator.racing import Followed
from orchestrator.search import Batch, MostCells, most_cells


@dataclass(frozen=True)
class Searched:
    """What a column trains at most.

    Attributes:
        column: The column.
        batches: Those that the budget allows.
        of_all: What all would train to the end.
        cells: How many there are, summed over batches: what is stopped in one stays while others race.
        budget: Epochs of it; None without, and while hours are not epochs yet.
        untried: Alternatives of which no configuration is tried, once all are asked.
    """

    column: Column
    batches: tuple[Batch, ...]
    of_all: int
    cells: MostCells
    budget: int | None
    untried: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """So many are trained at most, of all its cells together."""
        return sum(batch.epochs for batch in self.batches)


def searched(experiment: Experiment, followed: Followed | None = None) -> tuple[Searched, ...]:
    """Return what each column of a search trains at most; nothing without a search.

    Args:
        experiment: The experiment.
        followed: How far its search is: what a budget of hours is then; None before anybody has looked.

    Raises:
        UserError: The budget in epochs does not suffice for the first batch.
    """
    if followed is not None:
        return tuple(replace(_searched(each.column, each.budget), untried=each.untried) for each in followed.columns)
    budget = experiment.search.budget if experiment.search is not None else None
    return tuple(_searched(each, budget.epochs if budget is not None else None) for each in columns(experiment))


def _searched(column: Column, budget: int | None) -> Searched:
    batches = column.batches(budget)
    cells = [most_cells(batch.rungs, batch.num, num_kept=column.num_kept) for batch in batches]
    return Searched(
        column,
        batches,
        of_all=column.num_samples * len(column.seeds) * column.epochs,
        cells=MostCells(*(sum(each) for each in zip(*cells, strict=True))),
        budget=budget,
    )


def search_lines(found: Sequence[Searched]) -> list[str]:
    """Return what a search would do, a line for each subject; no line without a search."""
    if not found:
        return []
    return [*_asked(found), *dict.fromkeys(_rungs(each) for each in found), _most(found)]


def _asked(found: Sequence[Searched]) -> Iterator[str]:
    for each in found:
        column, search = each.column, each.column.search
        asked = sum(batch.num for batch in each.batches)
        num = counted(column.num_samples, "configuration")
        num = num if asked == column.num_samples else f"{asked:,} of {num}, as many as the budget allows"
        if search.sampler == "grid":
            how = "all of the lists"
        else:
            how = f"{search.sampler}, seed {search.seed or 0}"
            how += f", in batches of {column.batch}" if column.batch < column.num_samples else ""
            how += ", told what is finished already" if search.warm_start else ""
        place = f" of {column.dataset.label} / {column.model.label}" if len(found) > 1 else ""
        untried = f"; none is of {', '.join(each.untried)}: raise search.num_samples" if each.untried else ""
        yield f"search:    {num}{place}: {how}{untried}"


def _rungs(each: Searched) -> str:
    column = each.column
    if column.search.race == "none":
        return f"race:      none: all are trained to the end, with {counted(len(column.seeds), 'seed')}"
    num, (*rungs, last), _ = each.batches[0]
    steps = [f"{counted(rung.seeds, 'seed')} to epoch {rung.epochs}, {min(rung.keep, num)} go on" for rung in rungs]
    steps.append(f"{counted(last.seeds, 'seed')} to epoch {last.epochs}")
    kept = f"; never stopped: {', '.join(column.search.keep)}" if column.search.keep else ""
    return f"race:      {num}{' at a time' if num < column.num_samples else ''}: {'; '.join(steps)}{kept}"


def _most(found: Sequence[Searched]) -> str:
    epochs, of_all = sum(each.epochs for each in found), sum(each.of_all for each in found)
    cells = sum(each.cells.started for each in found)
    share = f" of {of_all:,}, {100 * epochs / of_all:.0f} %" if epochs < of_all else ""
    hours = _hours(found)
    return f"epochs:    at most {epochs:,}{share}, in {counted(cells, 'cell')} at most{hours}"


def _hours(found: Sequence[Searched]) -> str:
    budget = found[0].column.search.budget
    if budget is None or budget.device_hours is None:
        return ""
    hours = f"{budget.device_hours:g} device hours"
    if all(each.budget is not None for each in found):
        return f"; {hours} are {' and '.join(f'{each.budget:,}' for each in found)}, by the speed of the first rung"
    return f"; fewer if {hours} are fewer: the first rung says how fast an epoch is, and that is kept"
