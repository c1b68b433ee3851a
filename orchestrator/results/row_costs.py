"""What the rows of a comparison have cost, in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from statistics import median

from orchestrator.amounts import counted
from orchestrator.costs import duration_text, money_text, worker_seconds
from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results.comparison import Comparison
from orchestrator.results.names import Names, named

_UNFINISHED = "stopped, failed or interrupted"


def costs_of_rows(
    comparison: Comparison,
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    *,
    names: Names | None = None,
    pays: Callable[[float, CellRun | None], float] | None = None,
) -> Iterator[str]:
    """Yield what each row of each column took of its workers, and in money; nothing where no run says it.

    Args:
        comparison: Its rows and columns are those that are told of.
        cells: Of all of them.
        runs: What is known of the cells, by key.
        names: What rows and columns are called there; None for their labels.
        pays: Returns what so many seconds of a worker have cost a run; None tells of hours alone.
    """
    found = {cell.key: seconds for cell in cells if (seconds := worker_seconds(cell, runs.get(cell.key))) is not None}
    if not found:
        return
    comparison = named(comparison, names or Names())

    def money(keys: Collection[str]) -> str:
        return "" if pays is None else f", {money_text(sum(pays(found[key], runs.get(key)) for key in keys))}"

    yield "cost, of all workers from the first step of a cell to the end of its test:"
    width = max(map(len, (*comparison.rows, _UNFINISHED)))
    for column in comparison.columns:
        if len(comparison.columns) > 1:
            yield f"{column.dataset} / {column.model}"
        for row in comparison.rows:
            of_row = {
                cell.key: found[cell.key]
                for cell in comparison.cells.get((row, column), ())
                if cell.key in found and runs[cell.key].has_result
            }
            if of_row:
                yield (
                    f"  {row:<{width}}  median {duration_text(median(of_row.values()))}, "
                    f"{duration_text(sum(of_row.values()))} for {counted(len(of_row), 'cell')}{money(of_row)}"
                )
    # A race stops most of its cells on the way, and that is most of what it costs.
    unfinished = {key: seconds for key, seconds in found.items() if not runs[key].has_result}
    parts = {_UNFINISHED: unfinished} if unfinished else {}
    for name, part in (parts | {"together": found}).items():
        yield (f"  {name:<{width}}  {duration_text(sum(part.values()))} for {counted(len(part), 'cell')}{money(part)}")
