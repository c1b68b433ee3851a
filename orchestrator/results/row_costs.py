"""What the rows of a comparison have cost, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from orchestrator.amounts import counted
from orchestrator.costs import duration_text, money_text, worker_seconds
from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results.comparison import Comparison
from orchestrator.results.names import Names, named


def costs_of_rows(
    comparison: Comparison,
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    *,
    names: Names | None = None,
    pays: Callable[[float], float] | None = None,
) -> Iterator[str]:
    """Yield what each row of each column took of its workers, and in money; nothing where no run says it.

    Args:
        comparison: Its rows and columns are those that are told of.
        cells: Of all of them.
        runs: What is known of the cells, by key.
        names: What rows and columns are called there; None for their labels.
        pays: Returns what so many seconds of a worker cost; None tells of hours alone.
    """
    found = {cell.key: seconds for cell in cells if (seconds := worker_seconds(cell, runs.get(cell.key))) is not None}
    if not found:
        return
    comparison = named(comparison, names or Names())
    yield "cost, of all workers from the first step of a cell to the end of its test:"
    width = max(map(len, comparison.rows))
    for column in comparison.columns:
        if len(comparison.columns) > 1:
            yield f"{column.dataset} / {column.model}"
        for row in comparison.rows:
            of_row = [found[cell.key] for cell in comparison.cells.get((row, column), ()) if cell.key in found]
            if of_row:
                money = "" if pays is None else f", {money_text(pays(sum(of_row)))}"
                yield (
                    f"  {row:<{width}}  median {duration_text(median(of_row))}, {duration_text(sum(of_row))} for "
                    f"{counted(len(of_row), 'cell')}{money}"
                )
    total = sum(found.values())
    money = "" if pays is None else f", {money_text(pays(total))}"
    yield f"  {'together':<{width}}  {duration_text(total)} for {counted(len(found), 'cell')}{money}"
