"""The search of a column as tables and figures see it: who got how far, who was stopped there, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from orchestrator.experiment import Cell
from orchestrator.racing import Followed, FollowedColumn
from orchestrator.records import CellRun
from orchestrator.search import Leg, Place, Point, Race, Search, Space, Standing, Stop

# What a race has nothing to say of.
_SETTLED = ("done", "trained", "failed")


class Reached(NamedTuple):
    """The last rung of a configuration that is decided.

    Attributes:
        standing: The rung.
        num_rungs: Of its race.
        place: Its own, with its mean and what tells apart equal ones.
        number: Which place that is, from 1.
        stop: Why it went no further; None if it goes on, or has trained to the end.
    """

    standing: Standing
    num_rungs: int
    place: Place
    number: int
    stop: Stop | None

    @property
    def is_last(self) -> bool:
        """Whether it is the last rung of its race: those in it have trained to the end with all seeds."""
        return self.standing.number == self.num_rungs

    @property
    def sorts_as(self) -> tuple[int, int, Place]:
        """What is less for who got further, and within a rung, of whatever batch, for a better place.

        Means over other seeds or epochs are not compared.
        """
        rung = self.standing.rung
        return -rung.seeds * rung.epochs, -rung.epochs, self.place


@dataclass(frozen=True)
class Raced:
    """The search of a column.

    Attributes:
        label: Of the column, for people.
        labels: Of each configuration, likewise.
        search: What its learning curves tell, see `orchestrator.search.follow`. Its configurations are called by the
            `config_key` of their cells.
        seeds: Of the file, in its order.
        epochs: Of a whole training.
        num_samples: How many configurations are tried in all.
        batch: How many at once.
        trained_epochs: So many are trained, of all cells together.
        most_epochs: So many will be at most, with those that it did not ask for.
        space: Where the configurations come from; None where that is not known.
        is_asked: Whether all that follows from the curves has been asked: who only looks does not ask a sampler.
    """

    label: str
    labels: Mapping[str, str]
    search: Search
    seeds: tuple[int, ...]
    epochs: int
    num_samples: int
    batch: int
    trained_epochs: int
    most_epochs: int
    space: Space | None = None
    is_asked: bool = True

    @cached_property
    def points(self) -> dict[str, Point]:
        """The configurations that were asked so far, by name, in that order."""
        return {name: point for race in self.search.races for name, point in race.points.items()}

    def called(self, name: str) -> str:
        """Return what a configuration is called."""
        return self.labels.get(name, name)

    @cached_property
    def reached(self) -> dict[str, Reached]:
        """How far each got, of those with a rung that is decided."""
        return {name: found for race in self.search.races for name, found in _reached(race).items()}

    @cached_property
    def legs(self) -> dict[tuple[str, int], Leg]:
        """What is to be trained now, by configuration and seed."""
        return {(leg.configuration, leg.seed): leg for leg in self.search.decision.legs}

    @property
    def is_race(self) -> bool:
        """Whether configurations may be stopped at all."""
        return any(len(race.rungs) > 1 for race in self.search.races)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return self.is_asked and not self.search.decision.legs

    @property
    def winner(self) -> str | None:
        """The best of those with all seeds; None before the end, or if each of the last has a failed training."""
        return self.search.decision.winner if self.is_over else None

    @property
    def num_batches(self) -> int:
        """How many batches there are if the budget lasts."""
        return math.ceil(self.num_samples / self.batch)

    @property
    def grid_epochs(self) -> int:
        """How many epochs there were if all configurations trained to the end with all seeds."""
        known = len(self.search.races[0].known) if self.search.races else 0
        return (self.num_samples + known) * len(self.seeds) * self.epochs

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All with a decided rung, the best first, see `Reached.sorts_as`."""
        return tuple(sorted(self.reached, key=lambda name: self.reached[name].sorts_as))

    def leaves_out(self, cells: Iterable[Cell], runs: Mapping[str, CellRun]) -> bool:
        """Return whether a race leaves some of its cells out, now or in the end; else they are a grid like any other.

        Args:
            cells: Of the column.
            runs: What is known of them, by key.
        """
        found = (runs.get(cell.key) for cell in cells)
        return self.is_race and not all(run is not None and run.status in _SETTLED for run in found)

    def state(self, cell: Cell, run: CellRun | None) -> str:
        """Return how far a cell is: the state of its run, ``stopped``, or ``paused`` until its rung is decided.

        Args:
            cell: Of the column.
            run: Its own; None if it has none.
        """
        status = "missing" if run is None else run.status
        name = cell.config_key
        if status in _SETTLED:
            return status
        if (found := self.reached.get(name)) is not None and found.stop is not None:
            return "stopped"
        # What a race has paused waits for its turn, too, and not for somebody who goes on with it.
        waits = run is not None and run.epoch and ((name, cell.seed) not in self.legs or run.race == "paused")
        return "paused" if waits and status != "running" else status


def _reached(race: Race) -> dict[str, Reached]:
    found: dict[str, Reached] = {}
    for standing in race.standings:
        # Of the last rung none is stopped: they have trained to the end.
        stopped = standing.stopped if standing.number < len(race.rungs) else {}
        for number, (name, place) in enumerate(standing.places.items(), start=1):
            found[name] = Reached(standing, len(race.rungs), place, number, stopped.get(name))
    return found


def by_configuration(races: Sequence[Raced]) -> Mapping[str, Raced]:
    """Return the search of each configuration, by the `config_key` of its cells."""
    return {name: raced for raced in races for name in raced.points}


def losses_of(races: Sequence[Raced]) -> Mapping[str, float]:
    """Return what tells apart equal means of a search, by the `config_key` of its configurations: less is better."""
    return {name: found.place.loss for raced in races for name, found in raced.reached.items()}


def races_of(followed: Followed | None) -> tuple[Raced, ...]:
    """Return the search of each column; none of an experiment without one."""
    return () if followed is None else tuple(map(_raced, followed.columns))


def _raced(followed: FollowedColumn) -> Raced:
    column = followed.column
    return Raced(
        label=f"{column.dataset.label} / {column.model.label}",
        labels={name: next(iter(cells.values())).variant for name, cells in followed.cells.items()},
        search=followed.search,
        seeds=column.seeds,
        epochs=column.epochs,
        num_samples=column.num_samples,
        batch=column.batch,
        trained_epochs=followed.epochs.trained,
        most_epochs=followed.epochs.at_most,
        space=column.space,
        is_asked=followed.is_asked,
    )
