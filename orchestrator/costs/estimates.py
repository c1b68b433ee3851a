"""From what is known of kinds to hours: of each cell, of a sweep on its slots, and of the same on more of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, NamedTuple

from orchestrator.costs.durations import Duration, Finished, Measured, typical
from orchestrator.costs.kinds import Kind, kind_of
from orchestrator.experiment import Cell

Source = Literal["finished", "measured", "other layout", "borrowed"]


class Estimate(NamedTuple):
    """How long cells of a kind take, and how that is known.

    Attributes:
        duration: Of a cell.
        source: ``finished`` cells of the same kind and layout; ``measured`` in a few steps; ``other layout``: finished
            cells of the kind that were placed otherwise; ``borrowed`` from the same training with another augmentation,
            the longest that is known.
    """

    duration: Duration
    source: Source


@dataclass(frozen=True)
class Estimates:
    """What is known of the kinds of a sweep.

    Attributes:
        finished: By kind, how long finished cells took, and how many there are.
        other_layout: Likewise those that had another share of their device, or whose layout is not known.
        measured: By `Kind.training_id`, as in a sweep.
        factor: How much longer finished cells took than their kind was measured; None if there are none of which both
            is known.
        prefers: Which of the two is taken where both are known.
    """

    finished: Mapping[Kind, tuple[Duration, int]]
    measured: Mapping[str, Measured]
    factor: float | None = None
    prefers: Literal["finished", "measured"] = "finished"
    other_layout: Mapping[Kind, tuple[Duration, int]] = field(default_factory=dict)

    def of(self, cell: Cell) -> Estimate | None:
        """Return how long a cell takes; None if nothing is known of its kind."""
        kind = kind_of(cell)
        known = {"finished": self._finished(kind), "measured": self._measured(kind)}
        found = known[self.prefers] or known["measured"] or known["finished"]
        if found is None and kind in self.other_layout:
            found = Estimate(self.other_layout[kind][0], "other layout")
        return found or self._borrowed(kind)

    def _finished(self, kind: Kind) -> Estimate | None:
        return Estimate(self.finished[kind][0], "finished") if kind in self.finished else None

    def _measured(self, kind: Kind) -> Estimate | None:
        measured = self.measured.get(kind.training_id)
        duration = measured.duration(kind.augment_id) if measured is not None else None
        return Estimate(duration.times(self.factor or 1.0), "measured") if duration is not None else None

    def _borrowed(self, kind: Kind) -> Estimate | None:
        known = [duration for other, (duration, _) in self.finished.items() if other.training == kind.training]
        if (measured := self.measured.get(kind.training_id)) is not None:
            durations = (measured.duration(augment_id) for augment_id in measured.mixing_s)
            known += [duration.times(self.factor or 1.0) for duration in durations if duration is not None]
        placed_otherwise = [of for other, (of, _) in self.other_layout.items() if other.training == kind.training]
        source: Source = "borrowed" if known else "other layout"
        longest = max(known or placed_otherwise, key=lambda each: each.epoch_s, default=None)
        return Estimate(longest, source) if longest is not None else None


def finished_by_kind(finished: Iterable[Finished]) -> dict[Kind, tuple[Duration, int]]:
    """Return how long finished cells took, by kind, and how many there are of which that is known."""
    cells: dict[Kind, list[Finished]] = {}
    for cell in finished:
        if cell.epoch_s is not None:
            cells.setdefault(cell.kind, []).append(cell)
    found = ((kind, typical(of_kind), len(of_kind)) for kind, of_kind in cells.items())
    return {kind: (duration, count) for kind, duration, count in found if duration is not None}


def longer_than_measured(
    finished: Mapping[Kind, tuple[Duration, int]], measured: Mapping[str, Measured]
) -> float | None:
    """Return how many times as long an epoch took in sweeps as it was measured, the median over kinds.

    Ray, MLflow and the other slots share cores and disk with the training, of which `Measured.in_a_sweep` knows a part.
    """
    ratios = []
    for kind, (duration, _) in finished.items():
        of_kind = measured.get(kind.training_id)
        expected = of_kind.duration(kind.augment_id) if of_kind is not None else None
        if expected is not None and expected.epoch_s > 0:
            ratios.append(duration.epoch_s / expected.epoch_s)
    return median(ratios) if ratios else None


def makespan_s(seconds: Sequence[float], slots: int) -> float:
    """Return how long cells take on so many slots, each taken by the next cell as soon as it is free.

    Args:
        seconds: Of each cell, in the order in which they are trained.
        slots: At least 1.
    """
    free_at = [0.0] * max(1, min(slots, len(seconds)))
    for of_cell in seconds:
        heapq.heapreplace(free_at, free_at[0] + of_cell)
    return max(free_at)


def curve(seconds: Sequence[float], *, slots: int) -> dict[int, float]:
    """Return `makespan_s` by slots: 1, 2, 4, … as far as more would help, and `slots`, in their order."""
    numbers = {slots}
    number = 1
    while number < len(seconds):
        numbers.add(number)
        number *= 2
    numbers.add(max(1, len(seconds)))
    return {each: makespan_s(seconds, each) for each in sorted(numbers)}
