"""What the hours of a sweep are made of: of each cell what is left of it, of a search what it trains at most."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.costs import Estimate, Estimates, Kind, Measured, Price, kind_of
from orchestrator.experiment import Cell, Resources


@dataclass(frozen=True)
class RaceLeft:
    """What is left of the search of a column, at most.

    Attributes:
        cells: Of its configurations, as far as they are known.
        epochs: So many epochs are trained, of all cells together.
        num_ends: So many cells are trained to the end, and tested.
        most_s: Seconds of slots that its budget in hours allows; None without one.
    """

    cells: Sequence[Cell]
    epochs: int
    num_ends: int
    most_s: float | None = None


@dataclass(frozen=True)
class Costing:
    """What the hours of a sweep are made of.

    Attributes:
        cells: That are to be trained, in their order; of a search those that are known and may be.
        estimates: What is known of their kinds.
        slots: How many at a time.
        resources: Of each.
        measured_on: On what `estimates` were measured, for people.
        finished_on: On what the finished cells of a kind ran, likewise.
        around_s: What a sweep takes beside its cells; None if that is not known.
        price: Of an hour; None if nobody asked.
        is_elsewhere: Whether the sweep is to run on another machine than those.
        reached: How many epochs of a cell are trained already, by key.
        races: What is left of each column of a search; empty without one.
        unmeasured: The trainings, by `Kind.training_id`, that were to be timed now and could not.
        decodes: Whether images are still to be decoded.
    """

    cells: Sequence[Cell]
    estimates: Estimates
    slots: int
    resources: Resources
    measured_on: str
    finished_on: Mapping[Kind, str] = field(default_factory=dict)
    around_s: float | None = None
    price: Price | None = None
    is_elsewhere: bool = False
    reached: Mapping[str, int] = field(default_factory=dict)
    races: Sequence[RaceLeft] = ()
    unmeasured: Collection[str] = ()
    decodes: bool = False

    @property
    def known(self) -> dict[str, Estimate]:
        """How long the cells take of which that is known, by key."""
        found = ((cell.key, self.estimates.of(cell)) for cell in self.cells)
        return {key: estimate for key, estimate in found if estimate is not None}

    def left_s(self, cell: Cell, estimate: Estimate) -> float:
        """Return the seconds that are left of a cell: its last epochs, if it was interrupted, and its test."""
        return estimate.duration.of(max(0, cell.train.epochs - self.reached.get(cell.key, 0)))

    @property
    def seconds(self) -> list[float]:
        """What is trained on a slot, piece by piece: each cell, in their order; of a search pieces as long as one."""
        if self.races:
            return [piece for race in self.races for piece in self._pieces(race)]
        known = self.known
        return [self.left_s(cell, known[cell.key]) for cell in self.cells if cell.key in known]

    def _pieces(self, race: RaceLeft) -> list[float]:
        """Return how long a race takes at most: all of its epochs as those of the slowest kind."""
        found = [(cell, estimate) for cell in race.cells if (estimate := self.estimates.of(cell)) is not None]
        if not found or not race.epochs:
            return []
        cell, (slowest, _) = max(found, key=lambda each: each[1].duration.epoch_s)
        once_s = max(estimate.duration.once_s for _, estimate in found)
        all_s = min(race.epochs * slowest.epoch_s + race.num_ends * once_s, race.most_s or math.inf)
        number = max(1, math.ceil(all_s / max(slowest.of(cell.train.epochs), 1e-9)))
        return [all_s / number] * number

    @property
    def stands_in(self) -> bool:
        """Whether some of it is known of a CPU alone, while the cells train on GPUs."""
        if not self.resources.gpus_per_worker:
            return False
        of = ((self.measured(cell), self.estimates.of(cell)) for cell in self.cells)
        return any(
            measured is not None
            and measured.device == "cpu"
            and estimate is not None
            and estimate.source in ("measured", "borrowed")
            for measured, estimate in of
        )

    def measured(self, cell: Cell) -> Measured | None:
        """Return what was measured of a cell's training."""
        return self.estimates.measured.get(kind_of(cell).training_id)

    @property
    def compile_s(self) -> Sequence[float]:
        """What compiling takes of each slot, by kind of steps; as far as it was measured."""
        found = {kind_of(cell): self.measured(cell) for cell in self.cells}
        of_kinds = (each.compile_s.get(kind.augment_id) for kind, each in found.items() if each is not None)
        return [seconds for seconds in of_kinds if seconds is not None]

    @property
    def worker_s(self) -> float:
        """For how long workers are at work, together."""
        compiling = sum(self.compile_s) * min(self.slots, max(1, len(self.cells)))
        return (sum(self.seconds) + compiling) * self.resources.workers
