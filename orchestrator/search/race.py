"""A race of configurations: who trains on, who is stopped, who wins, as a pure function of the learning curves.

A rung is decided when all of its legs have reported, from means over the same seeds at the same epoch. So neither the
order in which they report nor the number of slots, a kill or a lost state changes a decision: none is kept, all are
made anew from the curves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.search.rungs import Rung

Curves = Mapping[tuple[str, int], Sequence[float]]
# 0.1 + 0.2 and 0.15 + 0.15 are a tie; a share of a million images has fewer digits.
_DIGITS = 12


class Leg(NamedTuple):
    """A piece of a training: of one cell, until an epoch, from wherever it is.

    Attributes:
        configuration: All that the cell is but its seed.
        seed: Of the cell.
        epochs: So many it has then, from the first on.
    """

    configuration: str
    seed: int
    epochs: int


class Place(NamedTuple):
    """How a configuration stands in a rung.

    Attributes:
        mean: Over the rung's seeds, of what the curves say at its last epoch; infinite if a cell failed before.
        loss: What tells apart configurations of the same mean: the mean of ``ties``; infinite if it is unknown.
    """

    mean: float
    loss: float


class Stop(NamedTuple):
    """Why a configuration was stopped.

    Attributes:
        rung: Counted from 1.
        place: Among those that were in the rung, from 1.
        mean: See `Place`.
        cut: The mean of the last that went on by its place; infinite if none did.
    """

    rung: int
    place: int
    mean: float
    cut: float


class Decision(NamedTuple):
    """What follows from the curves.

    Attributes:
        legs: All that the present rung lacks, those that train already among them; empty when the race is over.
        stopped: The configurations that were stopped so far, each with where and why. Those of the last rung have
            trained to the end, and none of them is here.
        winner: The best of the last rung; None before that is decided, or if each in it has a cell that failed.
    """

    legs: tuple[Leg, ...]
    stopped: dict[str, Stop]
    winner: str | None


@dataclass(frozen=True)
class Standing:
    """A rung, decided or not.

    Attributes:
        number: Counted from 1.
        rung: What was to be trained.
        entered: The configurations in it, in the order of the file.
        legs: See `Decision`; empty once it is decided.
        places: The best first; empty until it is decided.
        going_on: Those that enter the next rung, in the order of the file; of the last rung, the winner if it has one.
        by_place: Of those the ones that go on since they are the best, the best first; the others are never stopped.
    """

    number: int
    rung: Rung
    entered: tuple[str, ...]
    legs: tuple[Leg, ...]
    places: Mapping[str, Place]
    going_on: tuple[str, ...]
    by_place: tuple[str, ...] = ()

    @property
    def cut(self) -> float:
        """See `Stop`."""
        return self.places[self.by_place[-1]].mean if self.by_place else math.inf

    @property
    def stopped(self) -> dict[str, Stop]:
        """Those that do not go on, with where and why; of the last rung, all but the winner."""
        return {
            name: Stop(self.number, place, self.places[name].mean, self.cut)
            for place, name in enumerate(self.places, start=1)
            if name not in self.going_on
        }


def decide(
    rungs: Sequence[Rung],
    configurations: Sequence[str],
    seeds: Sequence[int],
    curves: Curves,
    *,
    keep: Collection[str] = (),
    ties: Curves | None = None,
    failed: Collection[tuple[str, int]] = (),
) -> Decision:
    """Return which legs are to be trained now, who was stopped, and who has won.

    Args:
        rungs: See `orchestrator.search.ladder`.
        configurations: In the order of the file, which decides where all else is equal.
        seeds: In the order of the file: a rung takes the first of them.
        curves: What validation says after each epoch, as far as trained, by configuration and seed: less is better.
            The value *at* the epoch of the rung counts, never a later one: cells that have trained further, and cells
            that are not raced, may be there. What is not finite counts as the worst.
        keep: Configurations that are never stopped: they go on beside the others, and take no place from them.
        ties: Validation loss likewise, which decides where the mean errors are equal.
        failed: Cells that will not train on. Of a rung whose epoch it has not reached, such a cell's configuration is
            the last, and goes no further, whatever keeps it: each later mean would lack the cell, too. Rungs before
            that stay as they were decided.

    Raises:
        ValueError: There is no rung, a rung has more seeds than the file, or a configuration or seed is there twice.
    """
    found = standings(rungs, configurations, seeds, curves, keep=keep, ties=ties, failed=failed)
    stopped: dict[str, Stop] = {}
    for standing in found:
        if standing.number < len(rungs):
            stopped |= standing.stopped
    last = found[-1]
    is_over = last.number == len(rungs) and last.going_on
    return Decision(last.legs, stopped, last.going_on[0] if is_over else None)


def standings(
    rungs: Sequence[Rung],
    configurations: Sequence[str],
    seeds: Sequence[int],
    curves: Curves,
    *,
    keep: Collection[str] = (),
    best_of: Collection[Collection[str]] = (),
    ties: Curves | None = None,
    failed: Collection[tuple[str, int]] = (),
) -> tuple[Standing, ...]:
    """Return each rung that is decided, and behind them the one that is not; arguments and errors of `decide`.

    Args:
        rungs: See `decide`, as the others but `best_of`.
        configurations: Likewise.
        seeds: Likewise.
        curves: Likewise.
        keep: Likewise.
        best_of: Configurations the best of which, in each rung, is never stopped; for each such group.
        ties: Likewise.
        failed: Likewise.
    """
    _check(rungs, configurations, seeds)
    failed, entered = frozenset(failed), tuple(configurations)
    found: list[Standing] = []
    for number, rung in enumerate(rungs, start=1):
        cells = [(name, seed) for name in entered for seed in seeds[: rung.seeds]]
        legs = tuple(
            Leg(name, seed, rung.epochs)
            for name, seed in cells
            if len(curves.get((name, seed), ())) < rung.epochs and (name, seed) not in failed
        )
        if legs:
            return (*found, Standing(number, rung, entered, legs, {}, ()))
        places = _places(rung, entered, seeds, curves, ties or {})
        finite = [name for name, place in places.items() if math.isfinite(place.mean)]
        if number < len(rungs):
            firsts = (name for group in best_of for name in [each for each in finite if each in group][:1])
            kept = {*keep, *firsts}
            by_place = tuple(name for name in finite if name not in kept)[: rung.keep]
            going_on = tuple(name for name in entered if name in by_place or (name in kept and name in finite))
        else:
            going_on = by_place = tuple(finite[:1])
        found.append(Standing(number, rung, entered, (), places, going_on, by_place))
        entered = going_on
    return tuple(found)


def _check(rungs: Sequence[Rung], configurations: Sequence[str], seeds: Sequence[int]) -> None:
    if not rungs:
        raise ValueError("a race without a rung: give one at least")
    for rung in rungs:
        if not 1 <= rung.seeds <= len(seeds) or rung.epochs < 1 or rung.keep < 1:
            raise ValueError(f"{rung} of a race with {len(seeds)} seeds: each number is 1 at least, seeds at most that")
    for what, values in (("configuration", configurations), ("seed", seeds)):
        if len(set(values)) != len(values):
            raise ValueError(f"a {what} is there twice: {[*values]}")


def _places(rung: Rung, entered: Sequence[str], seeds: Sequence[int], curves: Curves, ties: Curves) -> dict[str, Place]:
    """Return how the configurations of a rung stand, the best first; the order of the file is kept among equals."""
    raced = seeds[: rung.seeds]
    places = {
        name: Place(_mean(curves, name, raced, rung.epochs), _mean(ties, name, raced, rung.epochs)) for name in entered
    }
    return dict(sorted(places.items(), key=lambda item: item[1]))


def _mean(curves: Curves, name: str, seeds: Sequence[int], epoch: int) -> float:
    """Return the mean over seeds at an epoch; infinite if one of them has no finite value there."""
    found = [curve[epoch - 1] for seed in seeds if len(curve := curves.get((name, seed), ())) >= epoch]
    is_known = len(found) == len(seeds) and all(map(math.isfinite, found))
    return round(math.fsum(found) / len(found), _DIGITS) if is_known else math.inf


def ranking(race: Sequence[Standing]) -> tuple[str, ...]:
    """Return all configurations of a race, the best first, as far as it is decided.

    Who got further comes first: means over other seeds or epochs are not compared. Within a rung its places count.

    Args:
        race: From `standings`.
    """
    found: dict[str, None] = {}
    for standing in reversed(race):
        found |= dict.fromkeys(name for name in standing.places if name not in found)
    return tuple(found)
