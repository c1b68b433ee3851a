"""A search in batches: each is raced to its end before the next is asked, so that what is told depends on no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import UserError
from orchestrator.search.budget import most_epochs, within
from orchestrator.search.ledger import Told, told_of
from orchestrator.search.race import Curves, Decision, Leg, Standing, Stop, standings
from orchestrator.search.rungs import Rung
from orchestrator.search.space import Point


@dataclass(frozen=True)
class Race:
    """One batch.

    Attributes:
        points: What races, by name.
        rungs: That are raced, as narrow as the budget makes them.
        standings: See `orchestrator.search.standings`.
    """

    points: Mapping[str, Point]
    rungs: tuple[Rung, ...]
    standings: tuple[Standing, ...]

    @property
    def is_over(self) -> bool:
        """Whether no leg is open."""
        return not self.standings[-1].legs


@dataclass(frozen=True)
class Search:
    """All batches of a column so far.

    Attributes:
        races: One for each batch; the last may be open.
        decision: Over all of them; the winner is the best of those that have all seeds.
    """

    races: tuple[Race, ...]
    decision: Decision


def follow(
    ask: Callable[[int, tuple[Told, ...]], Sequence[Point]],
    *,
    name_of: Callable[[Point], str],
    num_samples: int,
    batch: int,
    rungs_of: Callable[[int], Sequence[Rung]],
    seeds: Sequence[int],
    curves: Curves,
    keep: Collection[str] = (),
    kept_as: Callable[[Point], str | None] = lambda _: None,
    ties: Curves | None = None,
    failed: Collection[tuple[str, int]] = (),
    warm: Sequence[Told] = (),
    budget: int | None = None,
) -> Search:
    """Return the whole search as the curves tell it: every batch that was asked, and the legs to be trained now.

    Args:
        ask: The sampler, of how many points and what is told. It is asked for every batch anew: one that takes long may
            be a `functools.cache` of it, since the same is told again.
        name_of: What a point is called in `curves`; no two points have one name.
        num_samples: Points in all; fewer are asked if the space has no more.
        batch: So many at once: all of them, for a sampler that learns nothing.
        rungs_of: The rungs for so many configurations.
        seeds: See `orchestrator.search.decide`, as `curves`, `keep`, `ties` and `failed`.
        curves: Likewise.
        keep: Likewise.
        kept_as: Under which name a point is kept, None for none: of each name the best of a rung goes on.
        ties: Likewise.
        failed: Likewise.
        warm: From `orchestrator.search.warm_start`.
        budget: Epochs in all; the batch that it does not suffice for is raced by fewer, and what follows is not asked.

    Raises:
        UserError: The budget does not suffice for the first batch, or the sampler refuses.
    """
    told, asked, spent = list(warm), 0, 0
    races: list[Race] = []
    while asked < num_samples:
        points = {name_of(point): point for point in ask(min(batch, num_samples - asked), tuple(told))}
        groups = _groups(points, kept_as)
        num_kept = len(points.keys() & {*keep}) + len(groups)
        try:
            rungs = _affordable(rungs_of, len(points), num_kept, budget=None if budget is None else budget - spent)
        except UserError:
            if not races:
                raise
            break
        if not points:
            break
        found = standings(rungs, tuple(points), seeds, curves, keep=keep, best_of=groups, ties=ties, failed=failed)
        races.append(Race(points, rungs, found))
        if not races[-1].is_over:
            break
        told += told_of(points, found, num_rungs=len(rungs))
        asked += len(points)
        spent += most_epochs(rungs, len(points), num_kept=num_kept)
    return Search(tuple(races), _over_all(races))


def _groups(points: Mapping[str, Point], kept_as: Callable[[Point], str | None]) -> list[list[str]]:
    """Return the points of each name under which some are kept."""
    groups: dict[str, list[str]] = {}
    for name, point in points.items():
        if (kept := kept_as(point)) is not None:
            groups.setdefault(kept, []).append(name)
    return [*groups.values()]


def _affordable(
    rungs_of: Callable[[int], Sequence[Rung]], num_points: int, num_kept: int, *, budget: int | None
) -> tuple[Rung, ...]:
    if not num_points:
        return ()
    rungs = tuple(rungs_of(num_points))
    return rungs if budget is None else within(rungs, num_points, epochs=budget, num_kept=num_kept)


def _over_all(races: Sequence[Race]) -> Decision:
    """Return the decisions of all batches as one."""
    legs: tuple[Leg, ...] = races[-1].standings[-1].legs if races else ()
    stopped: dict[str, Stop] = {}
    for race in races:
        for standing in race.standings:
            stopped |= standing.stopped if standing.number < len(race.rungs) else {}
    lasts = [race.standings[-1] for race in races if race.is_over]
    # The first of equals: batches come in the order in which they were asked.
    best = min(
        ((last.places[name], name) for last in lasts for name in last.going_on), key=lambda each: each[0], default=None
    )
    return Decision(legs, stopped, best[1] if best and not legs else None)
