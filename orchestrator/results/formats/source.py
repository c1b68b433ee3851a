"""What the formats are made of: a comparison, and what is known beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results.comparison import Column, Comparison
from orchestrator.results.names import Names


class Place(NamedTuple):
    """A cell and where it stands in the table."""

    row: str
    column: Column
    cell: Cell


@dataclass(frozen=True)
class Source:
    """A comparison on its way to a file.

    Attributes:
        comparison: What is shown.
        names: What rows and columns are called there.
        runs: The tracked runs by cell key; of cells without one nothing but the key is known.
    """

    comparison: Comparison
    names: Names = field(default_factory=Names)
    runs: Mapping[str, CellRun] = field(default_factory=dict)

    def places(self) -> Iterator[Place]:
        """Yield all planned cells, column by column and row by row."""
        for column in self.comparison.columns:
            for row in self.comparison.rows:
                for cell in self.comparison.cells.get((row, column), ()):
                    yield Place(row, column, cell)

    def value(self, place: Place) -> float | None:
        """Return the cell's value of the metric; None if it has none."""
        return self.comparison.entries[place.row, place.column].values.get(place.cell.replicate)

    def state(self, place: Place) -> str:
        """Return how far a cell is: the state of its run, or ``missing``; where it is raced see `Raced.state`."""
        run, raced = self.runs.get(place.cell.key), self.comparison.raced.get(place.column)
        if raced is not None:
            return raced.state(place.cell, run)
        return "missing" if run is None else run.status

    def run_id(self, cell: Cell) -> str | None:
        """Return MLflow's id of a cell's run; None if none is known."""
        return self.runs[cell.key].run_id if cell.key in self.runs else None

    def parameters(self) -> list[str]:
        """Return the parameters that some augmentation has, in the order of the rows."""
        return list(dict.fromkeys(name for place in self.places() for name in place.cell.augment.values))

    def settings(self) -> list[str]:
        """Return what else differs between the cells, e.g. ``train.lr``: but for seed and fold, data set and model.

        The options of a data set count where two data sets of one name differ in them.
        """
        found: dict[tuple[str, str], set[str]] = {}
        every = [place.cell.params() for place in self.places()]
        own = {"dataset.fold", *self.parameters()}
        names = dict.fromkeys(name for params in every for name in params if "." in name and name not in own)
        for params in every:
            for name in names:
                of = params["dataset"] if name.startswith("dataset.") else ""
                found.setdefault((name, of), set()).add(params.get(name, ""))
        differing = {name for (name, _), values in found.items() if len(values) > 1}
        return [name for name in names if name in differing]
