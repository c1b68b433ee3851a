"""The race of a column: the means of each rung, who was stopped there, and beyond which mean."""

from __future__ import annotations

import math
from typing import Any

from orchestrator.amounts import counted, some
from orchestrator.report.columns import of_columns
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material
from orchestrator.report.searched import Searched, raced
from orchestrator.report.style import (
    FAINT,
    INK,
    legend_below,
    new_drawing,
    point_style,
    series_style,
)
from orchestrator.results import Column, rung_text, winner_text
from orchestrator.search import Rung, Standing

# So many are drawn in colours, those that got furthest; the others are grey.
COLORED = 6


def race(material: Material) -> list[Figure]:
    """Return the means of the rungs, for each column that is raced."""
    return of_columns(material, "race", _race_of)


def _decided(found: Searched) -> list[Standing]:
    return [standing for each in found.raced.search.races for standing in each.standings if standing.places]


def _race_of(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = raced(material, column)
    decided = _decided(found)
    return Figure(
        name=name,
        title=f"The race{ending}",
        sentence=_race_sentence(found),
        draw=lambda: _race_drawn(found, decided),
        data={
            "metric": "best/error",
            "rungs": [
                {
                    "rung": standing.number,
                    "seeds": standing.rung.seeds,
                    "epochs": standing.rung.epochs,
                    "cut": next((stop.cut for stop in standing.stopped.values()), None),
                    "means": {found.called[each]: place.mean for each, place in standing.places.items()},
                }
                for standing in decided
            ],
            "winner": _winner(found),
        },
    )


def _winner(found: Searched) -> str | None:
    winner = found.raced.winner
    return None if winner is None else found.called[winner]


def _race_sentence(found: Searched) -> str:
    num_stopped = len(found.raced.search.decision.stopped)
    entered = counted(len(found.cells), "configuration")
    open_ = "" if found.raced.is_over else " so far"
    won = f" {won}." if (won := winner_text(found.raced, found.called.__getitem__)) else ""
    num_failed = sum(not math.isfinite(stop.mean) for stop in found.raced.search.decision.stopped.values())
    failed = f", and {num_failed} without one, of which a training failed" if num_failed else ""
    return (
        f"Of {entered} {num_stopped} {'was' if num_stopped == 1 else 'were'} stopped{open_}, each where its line ends "
        f"with a cross: its mean was no better than the bar, that of the last to go on{_kept(found)}{failed}.{won} "
        "Rungs have other seeds and other epochs: means compare within one alone."
    )


def _kept(found: Searched) -> str:
    """Return who went on whatever its place, and why, in words; empty if nobody did."""
    reasons: dict[str, dict[str, None]] = {"search.keep": {}, "finished before the search": {}}
    for race in found.raced.search.races:
        for standing in race.standings:
            for each in standing.going_on:
                if each not in standing.by_place:
                    why = "finished before the search" if each in race.known else "search.keep"
                    reasons[why][found.called[each]] = None
    said = [f"{some(list(kept))} went on all the same: {why}" for why, kept in reasons.items() if kept]
    return f" by its place ({'; '.join(said)})" if said else ""


def _race_drawn(found: Searched, decided: list[Standing]) -> Drawing:
    rungs = _rungs(decided)
    across = {rung: place for place, rung in enumerate(rungs)}
    paths: dict[str, list[tuple[int, float]]] = {}
    for standing in decided:
        for each, place in standing.places.items():
            if math.isfinite(place.mean):
                paths.setdefault(each, []).append((across[standing.rung[:2]], 100 * place.mean))
    colored = [each for each in found.raced.order if each in paths][:COLORED]
    drawing = new_drawing(3.6 + 0.16 * len(colored))
    axes = drawing.add_subplot()
    for each, path in paths.items():
        if each not in colored:
            axes.plot(*zip(*path, strict=True), color=FAINT, linewidth=0.7, alpha=0.7, marker=".", markersize=3)
    handles = [
        axes.plot(*zip(*paths[each], strict=True), linewidth=1.5, markersize=4, **_look(place))[0]
        for place, each in enumerate(colored)
    ]
    # One that failed has no mean where it was stopped: what its line shows was a good one.
    stops = found.raced.search.decision.stopped.items()
    ends = [paths[each][-1] for each, stop in stops if math.isfinite(stop.mean)]
    if ends:
        axes.plot(*zip(*ends, strict=True), linestyle="none", marker="x", color=INK, markersize=5)
    for standing in decided:
        if (cut := next((stop.cut for stop in standing.stopped.values()), math.nan)) and math.isfinite(cut):
            at = across[standing.rung[:2]]
            if standing.number < _num_rungs(found, standing):
                axes.hlines(100 * cut, at - 0.16, at + 0.16, color=INK, linewidth=1.4)
    labels = [found.called[each] for each in colored]
    if len(colored) < len(paths):
        handles += axes.plot([], [], color=FAINT, linewidth=0.7, marker=".", markersize=3)
        labels.append(f"{len(paths) - len(colored)} others")
    axes.set_xticks(range(len(rungs)), [_rung_label(numbers, rung) for rung, numbers in rungs.items()])
    axes.set_xlim(-0.3, len(rungs) - 0.7)
    axes.set_ylabel("best/error until then in %, lower is better")
    axes.grid(axis="y")
    legend_below(drawing, handles, labels)
    return drawing


def _look(place: int) -> dict[str, Any]:
    return {**series_style(place), "marker": point_style(place)["marker"]}


def _num_rungs(found: Searched, standing: Standing) -> int:
    return next(len(each.rungs) for each in found.raced.search.races if standing in each.standings)


def _rungs(decided: list[Standing]) -> dict[tuple[int, int], set[int]]:
    """Return the rungs of all batches, who got less far first, each with the numbers that it has in them."""
    found: dict[tuple[int, int], set[int]] = {}
    for standing in decided:
        found.setdefault(standing.rung[:2], set()).add(standing.number)
    return dict(sorted(found.items(), key=lambda item: (item[0][0] * item[0][1], item[0][1])))


def _rung_label(numbers: set[int], rung: tuple[int, int]) -> str:
    called = f"rung {' or '.join(map(str, sorted(numbers)))}"
    return f"{called}\n{rung_text(Rung(*rung, keep=1)).replace(' to ', chr(10) + 'to ')}"
