"""A search in words: how far it is, who was stopped and why, and what its winner is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from orchestrator.amounts import counted, some
from orchestrator.results.raced import Raced, Reached
from orchestrator.search import Place, Race, Rung, Standing

# What the picked best of a race is worth: of equal rows, the interval of the best against erm excludes 0 in 8 of 100
# races by validation, in 6 by the test (docs/results/2026-11-30-race).
BIASED = (
    "of what is raced no row is starred and none has an interval, since the row that a race picks looks better than it "
    "is: zetasweep confirm trains the best and the baseline on new seeds and compares them there."
)


class StoppedText(NamedTuple):
    """Why a configuration was stopped, as shown."""

    rung: str
    place: str
    mean: str
    cut: str


def percent(value: float) -> str:
    """Return an error as shown; ``failed`` where a training of the configuration did, or had no finite value."""
    return f"{100 * value:.2f} %" if math.isfinite(value) else "failed"


def stopped_text(found: Reached) -> StoppedText:
    """Return why a configuration was stopped."""
    assert found.stop is not None, "it was stopped"
    cut = percent(found.stop.cut) if math.isfinite(found.stop.cut) else "no mean"
    if found.stop.mean == found.stop.cut and math.isfinite(found.stop.cut):
        cut += f", tied: {_tie(found)}"
    return StoppedText(
        rung=f"{found.standing.number} of {found.num_rungs}",
        place=f"{found.number} of {len(found.standing.places)}",
        mean=percent(found.stop.mean),
        cut=cut,
    )


def _tie(found: Reached) -> str:
    """Return what decided between a configuration and the last that went on, whose mean is the same."""
    last: Place = found.standing.places[found.standing.by_place[-1]]
    return _tied_by(last, found.place)


def _tied_by(one: Place, other: Place) -> str:
    return "by the order of the file" if one.loss == other.loss else "by the loss"


def winner_text(raced: Raced, called: Callable[[str], str]) -> str:
    """Return who won a search and with what, and who was as good; empty if nobody has won."""
    winner = raced.winner
    if winner is None:
        return ""
    won = raced.reached[winner]
    ends = {name: found.place for name, found in raced.reached.items() if found.is_last and name != winner}
    tied = [name for name, place in ends.items() if place.mean == won.place.mean]
    text = f"{called(winner)} won by validation, with {percent(won.place.mean)}"
    if not tied:
        return text
    why = dict.fromkeys(_tied_by(won.place, ends[name]) for name in tied)
    return f"{text}, tied with {some([called(name) for name in tied])}: {' and '.join(why)}"


def rung_text(rung: Rung) -> str:
    """Return what a rung trains, e.g. ``2 seeds to epoch 30``."""
    return f"{counted(rung.seeds, 'seed')} to epoch {rung.epochs}"


def progress_text(races: Sequence[Raced], *, trained: int | None = None) -> str:
    """Return how far the searches of a sweep are, e.g. ``rung 2 of 4, 16 of 24 left, 31 % of the grid's epochs``.

    Args:
        races: One of each column that has one; empty where there are none, and so is the text.
        trained: Epochs of all of them; None for those that were trained when it was looked.
    """
    if not races:
        return ""
    known = sum(raced.trained_epochs for raced in races)
    of_grid = (known if trained is None else trained) / sum(raced.grid_epochs for raced in races)
    share = f"{share_text(of_grid)} of the grid's epochs"
    if len(races) == 1:
        return f"{standing_text(races[0])}, {share}"
    return f"{sum(raced.is_over for raced in races)} of {len(races)} searches over, {share}"


def share_text(share: float) -> str:
    """Return a share of the grid's epochs: whole percents, and of the beginning and the end no more than is true."""
    return f"{math.floor(100 * share + 1e-9)} %" if share >= 0.01 or not share else "under 1 %"


def standing_text(raced: Raced) -> str:
    """Return where a search is: which batch, which rung, and how many of its configurations are left."""
    if not raced.search.races:
        return "nothing is asked yet"
    race = raced.search.races[-1]
    standing = race.standings[-1]
    batch = f"batch {len(raced.search.races)} of {raced.num_batches}, " if raced.num_batches > 1 else ""
    if raced.is_over:
        return "over"
    if not standing.legs:
        return f"{batch}over, and zetasweep run asks for the next"
    return f"{batch}rung {standing.number} of {len(race.rungs)}, {len(standing.entered)} of {len(race.points)} left"


def rung_lines(races: Sequence[Raced]) -> Iterator[str]:
    """Yield what each rung that is decided has done, e.g. ``rung 1 of 4 (1 seed to epoch 15): 8 of 24 stopped``."""
    for raced in races:
        place = f"{raced.label}: " if len(races) > 1 else ""
        for number, race in enumerate(raced.search.races, start=1):
            batch = f"batch {number}, " if raced.num_batches > 1 else ""
            for standing in race.standings:
                if standing.places:
                    yield f"{place}{batch}{_of_rung(race, standing, raced.called)}"


def search_lines(raced: Raced, called: Callable[[str], str]) -> Iterator[str]:
    """Yield what is said of the search of a column: how far it is and who leads, and what each rung did.

    Args:
        raced: The search.
        called: Returns what a configuration is called.
    """
    yield f"{_how_far(raced, called)}."
    for number, race in enumerate(raced.search.races, start=1):
        said = "; ".join(_of_rung(race, standing, called) for standing in race.standings)
        yield f"batch {number}, {said}." if raced.num_batches > 1 else f"{said}."


def _how_far(raced: Raced, called: Callable[[str], str]) -> str:
    share = share_text(raced.trained_epochs / raced.grid_epochs)
    spent = f"{raced.trained_epochs:,} of the grid's {counted(raced.grid_epochs, 'epoch')} ({share})"
    if not raced.is_over:
        return f"the search: {standing_text(raced)}; {spent}, at most {raced.most_epochs:,}"
    tried = counted(len(raced.points), "configuration")
    if len(raced.points) < raced.num_samples:
        tried += f" of {raced.num_samples:,} (the budget suffices for no more, or the lists have no more)"
    winner = raced.winner
    if winner is None:
        return (
            f"the search is over without a winner: each of the last rung has a training that failed; {tried}, {spent}"
        )
    return f"the search is over: {winner_text(raced, called)}; {tried}, {spent}"


def _of_rung(race: Race, standing: Standing, called: Callable[[str], str]) -> str:
    head = f"rung {standing.number} of {len(race.rungs)} ({rung_text(standing.rung)})"
    if standing.legs:
        return f"{head}: {len(standing.legs)} of {counted(len(standing.entered) * standing.rung.seeds, 'leg')} open"
    if standing.number == len(race.rungs):
        first = f", {called(standing.going_on[0])} is the first" if standing.going_on else ""
        return f"{head}: {len(standing.entered)} to the end{first}"
    stopped = standing.stopped
    return f"{head}: {len(stopped)} of {len(standing.entered)} stopped{_cut_text(standing)}"


def _cut_text(standing: Standing) -> str:
    """Return what the last to go on had, and how many of those that were stopped had the same."""
    stopped = standing.stopped.values()
    if not stopped or not standing.by_place:
        return ""
    cut = standing.places[standing.by_place[-1]].mean
    if not math.isfinite(cut):
        return ""
    tied = sum(stop.mean == cut for stop in stopped)
    return f", the last to go on had {percent(cut)}" + (f", {tied} tied with it" if tied else "")
