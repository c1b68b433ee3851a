"""What a sampler is told of the configurations that were asked: the end of each, and nothing that depends on when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.search.race import Standing
from orchestrator.search.space import Point, Space


class Told(NamedTuple):
    """What became of a configuration.

    Attributes:
        point: The configuration.
        mean: Its validation error, over the seeds of the last rung that it was in; None if a cell failed.
        rung: That rung, counted from 1.
        is_complete: It has trained to the end with all seeds: a mean of fewer is none to compare with.
    """

    point: Point
    mean: float | None
    rung: int = 1
    is_complete: bool = True


def told_of(points: Mapping[str, Point], race: Sequence[Standing], *, num_rungs: int) -> tuple[Told, ...]:
    """Return what a race that is over says of its configurations, in the order of `points`.

    Args:
        points: By the names under which they raced.
        race: From `standings`.
        num_rungs: Of the race.

    Raises:
        ValueError: The race is not over: what came first would be told first.
    """
    if len(race) != num_rungs or race[-1].legs:
        raise ValueError(f"rung {race[-1].number} of {num_rungs} is open: only a race that is over is told")
    last = {name: standing for standing in race for name in standing.entered}
    found = []
    for name, point in points.items():
        mean, rung = last[name].places[name].mean, last[name].number
        found.append(Told(point, mean if math.isfinite(mean) else None, rung, is_complete=rung == num_rungs))
    return tuple(found)


def warm_start(
    space: Space, finished: Mapping[Point, Mapping[int, float]], *, seeds: Sequence[int], asked: Sequence[Point] = ()
) -> tuple[Told, ...]:
    """Return what the cells say that were finished before a search begins.

    The same cells in another order give the same answer. Yet cells that are finished later would change it, and with it
    all that is asked: whoever calls it keeps the answer.

    Args:
        space: Of the search: what lies outside of it is left out.
        finished: Validation error at the end by seed, of each configuration of the column.
        seeds: Of the search. A configuration that lacks one of them is left out: its mean is none to compare with.
        asked: Configurations that the search has in its race anyway, which are left out.
    """
    found = []
    for point, values in finished.items():
        if point in asked or not space.has(point) or not all(seed in values for seed in seeds):
            continue
        mean = math.fsum(values[seed] for seed in seeds) / len(seeds)
        if math.isfinite(mean):
            found.append(Told(point, mean))
    return tuple(sorted(found, key=lambda told: (told.mean, told.point.branch, repr(told.point.values))))
