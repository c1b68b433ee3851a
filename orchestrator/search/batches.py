"""A search in batches: each is raced to its end before the next is asked, so that what is told depends on no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.search.budget import Batch
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
        known: Those of the points that were finished before the search: they go on beside the others.
    """

    points: Mapping[str, Point]
    rungs: tuple[Rung, ...]
    standings: tuple[Standing, ...]
    known: frozenset[str] = frozenset()

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
    batches: Sequence[Batch],
    *,
    name_of: Callable[[Point], str],
    seeds: Sequence[int],
    curves: Curves,
    kept_as: Callable[[Point], str | None] = lambda _: None,
    ties: Curves | None = None,
    failed: Collection[tuple[str, int]] = (),
    warm: Sequence[Told] = (),
    known: Sequence[Point] = (),
) -> Search:
    """Return the whole search as the curves tell it: every batch that was asked, and the legs to be trained now.

    Args:
        ask: The sampler, of how many points and what is told. It is asked for every batch anew: one that takes long may
            be a `functools.cache` of it, since the same is told again.
        batches: From `orchestrator.search.batches_of`; of a batch that the space has fewer for, those race, and it is
            the last.
        name_of: What a point is called in `curves`; no two points have one name.
        seeds: See `orchestrator.search.decide`, as `curves`, `ties` and `failed`.
        curves: Likewise.
        kept_as: Under which name a point is kept, None for none: of each name the best of a rung goes on.
        ties: Likewise.
        failed: Likewise.
        warm: From `orchestrator.search.warm_start`.
        known: Those of them that cost nothing any more: they are in the first race, take no place, and may win it.

    Raises:
        UserError: The sampler refuses.
    """
    told = list(warm)
    races: list[Race] = []
    for batch in batches:
        points = {name_of(point): point for point in ask(batch.num, tuple(told))}
        if not points:
            break
        beside = {} if races else {name_of(point): point for point in known}
        found = standings(
            batch.rungs,
            (*beside, *points),
            seeds,
            curves,
            keep=beside,
            best_of=_groups(points, kept_as),
            ties=ties,
            failed=failed,
        )
        races.append(Race({**beside, **points}, batch.rungs, found, frozenset(beside)))
        if not races[-1].is_over:
            break
        told += told_of(points, found, num_rungs=len(batch.rungs))
    return Search(tuple(races), _over_all(races))


def _groups(points: Mapping[str, Point], kept_as: Callable[[Point], str | None]) -> list[list[str]]:
    """Return the points of each name under which some are kept."""
    groups: dict[str, list[str]] = {}
    for name, point in points.items():
        if (kept := kept_as(point)) is not None:
            groups.setdefault(kept, []).append(name)
    return [*groups.values()]


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
