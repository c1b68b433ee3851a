"""How far a search is: what has been asked, who was stopped, who trains what now, as its runs tell it.

Everything is made anew from the curves and from what is kept (`orchestrator.racing.kept`), by the driver as by whoever
looks: so neither a kill nor a second machine can make it another search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from orchestrator.amounts import counted
from orchestrator.experiment import Cell, Column, Configuration
from orchestrator.racing.kept import Kept
from orchestrator.records import CellRun
from orchestrator.search import Search, Stop


class CellLeg(NamedTuple):
    """A piece of a training.

    Attributes:
        cell: That is trained.
        until: This epoch.
    """

    cell: Cell
    until: int


class Epochs(NamedTuple):
    """Epochs of cells, all together.

    Attributes:
        trained: So far.
        at_most: What the race trains at most, those among them; and what cells were trained beyond what it asks of
            them, e.g. in a grid before it.
        of_grid: What all configurations with all seeds would be.
    """

    trained: int
    at_most: int
    of_grid: int


@dataclass(frozen=True)
class FollowedColumn:
    """How far the search of a data set and a model is.

    Attributes:
        column: Of the file.
        search: Its races, in which a configuration is called by the ``config_key`` of its cells.
        cells: Of each configuration that has been asked its cells by key, in the order of the seeds.
        legs: What is to be trained now, in this order; empty when the race is over, or waits for `is_asked`.
        is_asked: Whether all that follows from the curves has been asked; else whoever may ask a sampler goes on.
        budget: Epochs of it, all cells together; None without, and while hours are not epochs yet.
        epochs: What it takes.
    """

    column: Column
    search: Search
    cells: Mapping[str, Mapping[str, Cell]]
    legs: tuple[CellLeg, ...]
    is_asked: bool
    budget: int | None
    epochs: Epochs

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be trained."""
        return self.is_asked and not self.legs

    @property
    def is_all_asked(self) -> bool:
        """Whether no batch is left to be asked."""
        return len(self.search.races) == len(self.column.batches(self.budget))

    @property
    def untried(self) -> tuple[str, ...]:
        """The alternatives of which no configuration is tried, once all are asked: others have all places."""
        asked = {point.branch for race in self.search.races for point in race.points.values()}
        space = self.column.space
        return tuple(name for name in space.branches if name not in asked) if self.is_all_asked else ()

    @property
    def winner(self) -> str | None:
        """The ``config_key`` of the best configuration; None before the end, or if each of the last has failed."""
        return self.search.decision.winner if self.is_over else None

    @property
    def stopped(self) -> Mapping[str, Stop]:
        """The configurations that were stopped, by their ``config_key``, each with where and why."""
        return self.search.decision.stopped


@dataclass(frozen=True)
class Followed:
    """How far the search of an experiment is.

    Attributes:
        columns: Of each data set and model, in the order of the file.
        configurations: All that have been asked, those of a data set and model together.
        cells: All of their cells, labelled together.
        kept: What is to be kept before a leg is trained.
        left_out: How many configurations that were asked before are no longer in it: the file has another space.
    """

    columns: tuple[FollowedColumn, ...]
    configurations: tuple[Configuration, ...]
    cells: tuple[Cell, ...]
    kept: Kept
    left_out: int = 0

    @property
    def legs(self) -> tuple[CellLeg, ...]:
        """What is to be trained now."""
        return tuple(leg for column in self.columns for leg in column.legs)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be trained."""
        return all(column.is_over for column in self.columns)

    @property
    def epochs(self) -> Epochs:
        """What all of it takes."""
        return Epochs(*(sum(each) for each in zip(*(column.epochs for column in self.columns), strict=True)))

    @property
    def left_out_text(self) -> str | None:
        """What there is to say of `left_out`."""
        if not self.left_out:
            return None
        what = counted(self.left_out, "configuration")
        return (
            f"{what} asked before {'is' if self.left_out == 1 else 'are'} no longer in the search: the file has changed"
        )

    def stop_of(self, key: str) -> Stop | None:
        """Return where and why the configuration of a cell was stopped; None if it was not, or is not in the race."""
        return self._stops.get(key)

    def seen(self, runs: Mapping[str, CellRun]) -> dict[str, CellRun]:
        """Return the runs as the race sees them: ``stopped`` or ``paused`` in place of interrupted or missing."""
        found, at_work = dict(runs), {leg.cell.key for leg in self.legs}
        for key, cell in self._by_key.items():
            run = runs.get(key)
            if run is not None and run.status != "interrupted":
                continue
            if key in self._stops:
                known = run or CellRun(key=key, status="stopped", run_id=None, epochs=cell.train.epochs)
                found[key] = replace(known, status="stopped")
            elif run is not None and key not in at_work:
                found[key] = replace(run, status="paused")
        return found

    @cached_property
    def _by_key(self) -> dict[str, Cell]:
        return {key: cell for column in self.columns for cells in column.cells.values() for key, cell in cells.items()}

    @cached_property
    def _stops(self) -> dict[str, Stop]:
        return {
            key: stop for column in self.columns for name, stop in column.stopped.items() for key in column.cells[name]
        }
