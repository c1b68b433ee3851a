"""Where the configurations of a search lie: the grid, at random, evenly spread, or where Optuna expects the best.

Each sampler is a pure function: the same space, seed and results give the same points, however often it is asked and
whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.search.ledger import Told
from orchestrator.search.optuna_sampler import ask_optuna
from orchestrator.search.ranges import Range
from orchestrator.search.space import Axis, Point, Scalar, Space

_Value = TypeVar("_Value")
Shares = NDArray[np.float64]
# Of so many draws for each point that is wanted, nearly all were there before: the space has no more.
_DRAWS_PER_POINT = 64


class Sampler(Protocol):
    """Chooses configurations."""

    def __call__(self, space: Space, num: int, *, seed: int, told: Sequence[Told] = ()) -> tuple[Point, ...]:
        """Return the next points of a search.

        Args:
            space: To choose from.
            num: So many; fewer come back if the space has no more.
            seed: Of the search.
            told: All that was asked before, in that order, with what became of it: none of it is asked again.
        """
        ...


def grid(
    space: Space,
    num: int,
    *,
    seed: int,  # noqa: ARG001 - what every sampler takes
    told: Sequence[Told] = (),
) -> tuple[Point, ...]:
    """Return the points of lists in their order. See `Sampler`.

    Raises:
        ValueError: There is a range.
    """
    known = {each.point for each in told}
    return tuple(islice((point for point in space.grid() if point not in known), num))


def random(space: Space, num: int, *, seed: int, told: Sequence[Told] = ()) -> tuple[Point, ...]:
    """Return points at random. The first of many are those that fewer would be. See `Sampler`."""
    rng = np.random.default_rng(seed)
    return _first(space, num, told, lambda num_draws, dims: rng.random((num_draws, dims)))


def qmc(space: Space, num: int, *, seed: int, told: Sequence[Told] = ()) -> tuple[Point, ...]:
    """Return points of a scrambled Sobol sequence, which leave smaller holes than random ones. See `Sampler`.

    The first of many are those that fewer would be. Source: scipy.stats.qmc; Owen, "Scrambling Sobol' and Niederreiter-
    Xing points", Journal of Complexity 14 (1998).
    """
    # SciPy's statistics take half a second to import.
    from scipy.stats import qmc as sequences

    def draw(num_draws: int, dims: int) -> Shares:
        # A sequence has the same points however many are drawn, and is even after a power of 2 of them.
        sobol = sequences.Sobol(dims, scramble=True, rng=np.random.default_rng(seed))
        shares: Shares = sobol.random_base2((num_draws - 1).bit_length())
        return shares[:num_draws]

    return _first(space, num, told, draw)


SAMPLERS: dict[str, Sampler] = {"grid": grid, "random": random, "qmc": qmc, "optuna": ask_optuna}


def _first(space: Space, num: int, told: Sequence[Told], draw: Callable[[int, int], Shares]) -> tuple[Point, ...]:
    """Return the first points that a draw of shares means and that are not known, no two alike."""
    known = {each.point for each in told}
    fixed = [point for point in space.fixed if point not in known][:num]
    wanted = num - len(fixed)
    if not space.drawn or not wanted:
        return tuple(fixed)
    dims = 1 + len(space.shared) + sum(map(len, space.branches.values()))
    shares = draw(_DRAWS_PER_POINT * (wanted + len(known)), dims)
    return (*fixed, *islice(_new(_points(space, shares), known), wanted))


def _new(points: Iterator[Point], known: set[Point]) -> Iterator[Point]:
    """Yield each point the first time that it comes, unless it is known."""
    for point in points:
        if point not in known:
            known.add(point)
            yield point


def _points(space: Space, shares: Shares) -> Iterator[Point]:
    """Yield the point of each row: its first share is the branch, and each axis of the space has one of its own."""
    columns = {("", name): place for place, name in enumerate(space.shared, start=1)}
    own = ((branch, name) for branch, axes in space.branches.items() for name in axes)
    columns |= {name: place for place, name in enumerate(own, start=1 + len(columns))}
    drawn = space.drawn
    for row in shares:
        branch = _of(drawn, float(row[0]))
        values = (
            (name, _at(axis, float(row[columns["" if name in space.shared else branch, name]])))
            for name, axis in space.axes(branch).items()
        )
        yield Point(branch, tuple(values))


def _at(axis: Axis, share: float) -> Scalar:
    return axis.at(share) if isinstance(axis, Range) else _of(axis, share)


def _of(values: Sequence[_Value], share: float) -> _Value:
    return values[int(share * len(values))]
