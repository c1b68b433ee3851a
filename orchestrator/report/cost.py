"""What a row costs to train, against what it reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from orchestrator.costs import money_of, worker_seconds
from orchestrator.records import CellRun
from orchestrator.report.columns import best_first, in_words, of_columns, places_of, rows_of, scale
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import FAINT, legend_below, new_drawing, point_style
from orchestrator.results import Column

MARKED = 10


def cost(material: Material) -> list[Figure]:
    """Return the metric against seconds of training, for each column."""
    return of_columns(material, "cost", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    found: dict[str, _Cost] = {}
    for row in rows_of(material, column):
        runs = [(cell, material.runs.get(cell.key)) for cell in material.comparison.cells[row, column]]
        taken = [(s, run) for cell, run in runs if run and run.has_result and (s := worker_seconds(cell, run))]
        if taken:
            paid = median(_money(material, seconds, run) for seconds, run in taken)
            found[row] = _Cost(median(s for s, _ in taken), paid, material.comparison.entries[row, column].mean)
    if not found:
        raise Unavailable("MLflow does not say of these runs how long they took.")
    worth = _worth_it(material, found)
    return Figure(
        name=name,
        title=f"{material.comparison.metric.key} against cost{ending}",
        sentence=_sentence(material, column, found, worth),
        draw=lambda: _drawn(material, column, found, worth),
        data={
            "metric": material.comparison.metric.key,
            "price": str(material.price) if material.price is not None else None,
            "rows": {
                row: {
                    "worker_seconds": each.worker_s,
                    "money": each.paid if material.price is not None else None,
                    "mean": each.mean,
                    "is_worth_its_cost": row in worth,
                }
                for row, each in found.items()
            },
        },
    )


class _Cost(NamedTuple):
    """Of a row: the median of its trainings.

    Attributes:
        worker_s: Seconds of workers.
        paid: That in money, with what each had then; without a price the seconds.
        mean: Of the metric.
    """

    worker_s: float
    paid: float
    mean: float


def _worth_it(material: Material, found: Mapping[str, _Cost]) -> list[str]:
    """Return the rows that no other is both as cheap as and better than, the cheapest first: the Pareto front."""
    sign = -1 if material.comparison.metric.higher_is_better else 1
    worth: list[str] = []
    for row in sorted(found, key=lambda each: (found[each].paid, sign * found[each].mean)):
        if not worth or sign * found[row].mean < sign * found[worth[-1]].mean:
            worth.append(row)
    return worth


def _money(material: Material, worker_s: float, run: CellRun) -> float:
    price = material.price
    return worker_s if price is None else money_of(price, worker_s, run, material.experiment.resources)


def _sentence(material: Material, column: Column, found: Mapping[str, _Cost], worth: Sequence[str]) -> str:
    of_column = [cell for row in found for cell in material.comparison.cells[row, column]]
    devices = sorted({run.device for cell in of_column if (run := material.runs.get(cell.key)) and run.device})
    where = f" on {', '.join(devices)}" if devices else ""
    if len(devices) > 1:
        where += ": of several devices, so that they cannot be compared"
    cheapest, dearest = (pick(found, key=lambda row: found[row].worker_s) for pick in (min, max))
    ratio = found[dearest].worker_s / found[cheapest].worker_s
    first, last = material.names.row(cheapest), material.names.row(dearest)
    longer = f"{last} takes {ratio:.2f} times as long as {first}" if ratio >= 1.005 else "All rows take equally long"
    named = ", ".join(material.names.row(row) for row in worth[:MARKED])
    front = f"For no more than they cost, no row has a better mean than these: {named}. " if len(found) > 1 else ""
    paid = "" if material.price is None else f" Money is that time at {material.price}: idle devices are not in it."
    return (
        f"{longer}{where}. {front}Seconds are those of all workers, from the first step of a training to the end "
        "of its test; of one that was interrupted what its epochs took. What else ran on the machine at the time is in "
        f"them.{paid}"
    )


def _drawn(material: Material, column: Column, found: Mapping[str, _Cost], worth: Sequence[str]) -> Drawing:
    metric = material.comparison.metric
    ordered = best_first(list(found), lambda row: found[row].mean, metric)
    marked = ordered[:MARKED]
    places = places_of(marked, material.comparison.baseline_of(column))
    drawing = new_drawing(3.4 + 0.16 * len(marked))
    axes = drawing.add_subplot()
    axes.plot(
        [found[row].paid for row in worth],
        [scale(metric) * found[row].mean for row in worth],
        color=FAINT,
        linewidth=1,
        zorder=0,
    )
    handles = []
    for row in ordered:
        look = point_style(places[row]) if row in places else {"color": FAINT, "marker": "."}
        mean = scale(metric) * found[row].mean
        handles += axes.plot(found[row].paid, mean, linestyle="none", markersize=7, **look)
    of = "" if material.price is None else f", at {material.price}"
    axes.set_xlabel(f"{'worker seconds' if not of else 'money'} for each training{of}")
    axes.set_xlim(left=0)
    axes.set_ylabel(in_words(metric))
    axes.grid()
    legend_below(drawing, handles[: len(marked)], [material.names.row(row) for row in marked])
    return drawing
