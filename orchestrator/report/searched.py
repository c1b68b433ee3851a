"""What figures of a search have in common: the configurations of a column, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.experiment import Cell
from orchestrator.report.figure import Material, Unavailable
from orchestrator.report.parameters import Parameter, parameters_of
from orchestrator.results import Column, Raced

NOT_SEARCHED = "Nothing is searched: the file has no section search, and all its configurations are trained to the end."
NOT_DECIDED = "No rung of the search is decided yet: zetasweep run trains what it lacks."
NOT_RACED = "No configuration is stopped early: search.race is none, or there are too few to stop any."
# A page has so many rows of a table, or of bars; the numbers of all are beside it.
ROWS_AT_MOST = 60


@dataclass(frozen=True)
class Searched:
    """The search of a column.

    Attributes:
        raced: How far it is.
        cells: Of each configuration that was asked, by its name in the search, in that order.
        called: What each is called on the page.
    """

    raced: Raced
    cells: Mapping[str, tuple[Cell, ...]]
    called: Mapping[str, str]


def searched(material: Material, column: Column) -> Searched:
    """Return the search of a column.

    Raises:
        Unavailable: It has none, or nothing of it is decided.
    """
    if not material.races:
        raise Unavailable(NOT_SEARCHED)
    of_row = {
        row: material.comparison.cells[row, column]
        for row in material.comparison.rows
        if (row, column) in material.comparison.cells
    }
    named = {cells[0].config_key: (row, cells) for row, cells in of_row.items()}
    for raced in material.races:
        if not raced.points.keys().isdisjoint(named):
            found = {name: named[name] for name in raced.points if name in named}
            if not raced.reached:
                raise Unavailable(NOT_DECIDED)
            return Searched(
                raced=raced,
                cells={name: cells for name, (_, cells) in found.items()},
                called={name: material.names.row(row) for name, (row, _) in found.items()},
            )
    raise Unavailable(NOT_DECIDED)


def raced(material: Material, column: Column) -> Searched:
    """Return the race of a column; otherwise as `searched`.

    Raises:
        Unavailable: Likewise, and if no configuration may be stopped.
    """
    found = searched(material, column)
    if not found.raced.is_race:
        raise Unavailable(NOT_RACED)
    return found


def parameters_of_search(found: Searched) -> list[Parameter]:
    """Return what the configurations of a search differ in, the augmentation first."""
    return parameters_of({name: cells[0] for name, cells in found.cells.items()}, found.raced.space)
