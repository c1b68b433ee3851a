"""What a row costs to train, against what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from orchestrator.experiment import Cell
from orchestrator.report.columns import best_first, in_words, of_columns, places_of, rows_of, scale
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import FAINT, legend_below, new_drawing, point_style
from orchestrator.results import Column

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

MARKED = 10


def cost(material: Material) -> list[Figure]:
    """Return the metric against seconds of training, for each column."""
    return of_columns(material, "cost", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    found: dict[str, tuple[float, float]] = {}
    for row in rows_of(material, column):
        seconds = [s for cell in material.comparison.cells[row, column] if (s := _device_seconds(material, cell))]
        if seconds:
            found[row] = median(seconds), material.comparison.entries[row, column].mean
    if not found:
        raise Unavailable("How long trainings took is known from their second epoch on: raise train.epochs.")
    worth = _worth_it(material, found)
    return Figure(
        name=name,
        title=f"{in_words(material.comparison.metric)} against cost{ending}",
        sentence=_sentence(material, column, found, worth),
        draw=lambda: _drawn(material, found, worth),
        data={
            "metric": material.comparison.metric.key,
            "price": str(material.price) if material.price is not None else None,
            "rows": {
                row: {
                    "device_seconds": seconds,
                    "money": _money(material, seconds),
                    "mean": mean,
                    "is_worth_its_cost": row in worth,
                }
                for row, (seconds, mean) in found.items()
            },
        },
    )


def _worth_it(material: Material, found: dict[str, tuple[float, float]]) -> list[str]:
    """Return the rows that no other is both as cheap as and better than, the cheapest first: the Pareto front."""
    sign = -1 if material.comparison.metric.higher_is_better else 1
    worth: list[str] = []
    for row in sorted(found, key=lambda each: (found[each][0], sign * found[each][1])):
        if not worth or sign * found[row][1] < sign * found[worth[-1]][1]:
            worth.append(row)
    return worth


def _money(material: Material, device_s: float) -> float | None:
    price = material.price
    return None if price is None else price.of(device_s, material.experiment.resources)


def _device_seconds(material: Material, cell: Cell) -> float | None:
    """Return how long all workers of a training were at work, in seconds; None if that is not known.

    From the median time between the ends of two epochs: what an interruption took is not in it.
    """
    run = material.runs.get(cell.key)
    results = material.curves(cell) if run is not None and run.has_result else None
    ended = {result.epoch: result.timestamp_ms for result in results or ()}
    taken_ms = [ended[after] - ended[before] for before, after in pairwise(sorted(ended)) if after == before + 1]
    return median(taken_ms) / 1000 * cell.train.epochs * cell.workers if taken_ms else None


def _sentence(material: Material, column: Column, found: dict[str, tuple[float, float]], worth: Sequence[str]) -> str:
    of_column = [cell for row in found for cell in material.comparison.cells[row, column]]
    devices = sorted({run.device for cell in of_column if (run := material.runs.get(cell.key)) and run.device})
    where = f" on {', '.join(devices)}" if devices else ""
    if len(devices) > 1:
        where += ": of several devices, so that they cannot be compared"
    cheapest, dearest = (pick(found, key=lambda row: found[row][0]) for pick in (min, max))
    ratio = found[dearest][0] / found[cheapest][0]
    first, last = material.names.row(cheapest), material.names.row(dearest)
    longer = f"{last} takes {ratio:.2f} times as long as {first}" if ratio >= 1.005 else "All rows take equally long"
    named = ", ".join(material.names.row(row) for row in worth[:MARKED])
    front = f"For no more than they cost, no row has a better mean than these: {named}. " if len(found) > 1 else ""
    paid = "" if material.price is None else f" Money is that time at {material.price}: idle devices are not in it."
    return (
        f"{longer}{where}. {front}Seconds are the median time of an epoch, its validation included, times epochs and "
        f"workers: what else ran on the machine at the time is in them.{paid}"
    )


def _drawn(material: Material, found: dict[str, tuple[float, float]], worth: Sequence[str]) -> Drawing:
    metric = material.comparison.metric
    ordered = best_first(list(found), lambda row: found[row][1], metric)
    marked = ordered[:MARKED]
    costs = {
        row: (seconds if (paid := _money(material, seconds)) is None else paid) for row, (seconds, _) in found.items()
    }
    places = places_of(marked, material.comparison.baseline)
    drawing = new_drawing(3.4 + 0.16 * len(marked))
    axes = drawing.add_subplot()
    axes.plot(
        [costs[row] for row in worth],
        [scale(metric) * found[row][1] for row in worth],
        color=FAINT,
        linewidth=1,
        zorder=0,
    )
    handles = []
    for row in ordered:
        look = point_style(places[row]) if row in places else {"color": FAINT, "marker": "."}
        mean = scale(metric) * found[row][1]
        handles += axes.plot(costs[row], mean, linestyle="none", markersize=7, **look)
    of = "" if material.price is None else f", at {material.price}"
    axes.set_xlabel(f"{'device seconds' if not of else 'money'} for each training{of}")
    axes.set_xlim(left=0)
    axes.set_ylabel(in_words(metric))
    axes.grid()
    legend_below(drawing, handles[: len(marked)], [material.names.row(row) for row in marked])
    return drawing
