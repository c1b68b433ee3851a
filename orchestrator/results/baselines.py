"""Which row the others of a column are compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UserError, nearest
from orchestrator.results.raced import Raced, by_configuration
from orchestrator.results.rows import Column, Layout, rows_named

BASELINE = "erm"


@dataclass(frozen=True)
class Baseline:
    """The row that the others of a column are compared with.

    Attributes:
        row: Its label.
        num: How many rows of the column it could be: of a search the best placed is taken, else the first, as they
            differ in settings alone.
        is_placed: Whether the search of the column has chosen among several.
    """

    row: str
    num: int = 1
    is_placed: bool = False


def baseline_of(
    layout: Layout,
    wanted: str | None,
    *,
    must_be_one: bool,
    is_searched: bool = False,
    named_by: str = "baseline =",
) -> tuple[str | None, int]:
    """Return the row that is meant, and how many it could be.

    Args:
        layout: Of the table.
        wanted: See `rows_named`; None for erm, if that is there.
        must_be_one: Whether rows that differ in their settings alone are too many; else the first is taken.
        is_searched: Whether there is a search: of its rows any number may be meant, see `baselines_of`.
        named_by: What stands before the name where somebody has written it.

    Raises:
        UserError: There is no such row, or several augmentations are meant.
    """
    name = wanted or BASELINE
    meant = rows_named(layout.augments, name)
    alike = len({layout.augments[row].label for row in meant}) == 1 and not must_be_one
    if len(meant) == 1 or alike or wanted is None or (is_searched and meant):
        return (meant[0] if meant else None), len(meant)
    suggested = nearest(name, layout.rows, cutoff=0.5)
    what = f"{len(meant)} rows are {name}" if meant else "there is no such row"
    raise UserError(
        f"{named_by} {name}: {what}",
        allowed=f"one of the rows: {', '.join(layout.rows)}",
        remedy=f"write {suggested}, as the table has it" if suggested else "write one of them, as the table has it",
    )


def baselines_of(
    layout: Layout, wanted: str | None, *, must_be_one: bool, placed: Mapping[Column, Sequence[str]] | None = None
) -> dict[Column, Baseline]:
    """Return the baseline of each column; where a column has none of the rows that are meant, that of the table.

    Args:
        layout: Of the table.
        wanted: See `baseline_of`, as `must_be_one` and what it raises.
        must_be_one: Likewise.
        placed: The rows of each column that has a search, by their places in it, as far as these are known: of several
            that are meant the best is taken, since one that was drawn badly makes any other look good. None where there
            is no search.
    """
    of_table, _ = baseline_of(layout, wanted, must_be_one=must_be_one, is_searched=placed is not None)
    if of_table is None:
        return {}
    meant, found = rows_named(layout.augments, wanted or BASELINE), dict[Column, Baseline]()
    for column in layout.columns:
        here = [row for row in meant if (row, column) in layout.cells] or [of_table]
        first = next((row for row in (placed or {}).get(column, ()) if row in here), None)
        found[column] = Baseline(first or here[0], len(here), first is not None and len(here) > 1)
    return found


def settled_baselines(layout: Layout, configurations: Collection[str]) -> dict[Column, Baseline]:
    """Return the baseline of each column that has a row with one of some configurations (`Cell.config_key`)."""
    places = layout.cells.items()
    return {column: Baseline(row) for (row, column), cells in places if cells[0].config_key in configurations}


def placed_rows(layout: Layout, races: Sequence[Raced]) -> dict[Column, Sequence[str]] | None:
    """Return the rows of each column that has a search with places, by these; None where there is no search."""
    of_configuration, placed = by_configuration(races), dict[Column, Sequence[str]]()
    for column in layout.columns if races else ():
        rows = {of_row[0].config_key: row for row, of_row in layout.of_column(column).items() if of_row}
        found = next((of_configuration[name] for name in rows if name in of_configuration), None)
        if found is not None:
            placed[column] = [rows[name] for name in found.order if name in rows]
    return placed if races else None
