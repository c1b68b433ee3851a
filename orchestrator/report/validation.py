"""Validation against test, training by training: whether what is chosen by the one is good by the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import StatisticsError, correlation, fmean

from orchestrator.amounts import counted, some
from orchestrator.experiment import Replicate
from orchestrator.report.columns import best_first, in_words, of_columns, places_of, rows_of, scale, tied_first
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import FAINT, legend_below, new_drawing, point_style
from orchestrator.results import Column, resolve_metric

Pairs = dict[Replicate, tuple[float, float]]
# More rows than that are grey: nobody tells so many markers apart.
MARKED = 10
# Likewise of names in a sentence.
NAMED = 4


def validation(material: Material) -> list[Figure]:
    """Return the validation metric against that of the test, for each column."""
    return of_columns(material, "validation-and-test", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    pairs = {row: found for row in rows_of(material, column) if (found := _pairs(material, row, column))}
    if not pairs:
        raise Unavailable(
            f"No cell has {_validated(material)} beside {material.comparison.metric.key}: compare by a metric of the "
            "test that validation has, too, such as test/error."
        )
    return Figure(
        name=name,
        title=f"Validation and test{ending}",
        sentence=_sentence(material, column, pairs),
        draw=lambda: _drawn(material, column, pairs),
        data={
            "validation": _validated(material),
            "test": material.comparison.metric.key,
            "rows": {row: {rep.short: list(pair) for rep, pair in found.items()} for row, found in pairs.items()},
        },
    )


def _validated(material: Material) -> str:
    return f"best/{material.comparison.metric.name}"


def _pairs(material: Material, row: str, column: Column) -> Pairs:
    """Return validation and test of each training of a row that has both."""
    if material.comparison.metric.stage != "test":
        return {}
    found = {}
    for cell in material.comparison.cells.get((row, column), ()):
        run = material.runs.get(cell.key)
        if run is not None and run.has_result:
            pair = run.metrics.get(_validated(material)), run.metrics.get(material.comparison.metric.key)
            if pair[0] is not None and pair[1] is not None and math.isfinite(pair[0]) and math.isfinite(pair[1]):
                found[cell.replicate] = (pair[0], pair[1])
    return found


def _means(pairs: Pairs) -> tuple[float, float]:
    return fmean(one for one, _ in pairs.values()), fmean(other for _, other in pairs.values())


def _sentence(material: Material, column: Column, pairs: dict[str, Pairs]) -> str:
    means = {row: _means(found) for row, found in pairs.items()}
    text = _choice(material, column, means)
    centred = [
        (one - means[row][0], other - means[row][1]) for row, found in pairs.items() for one, other in found.values()
    ]
    within = _correlation(centred) if any(len(found) > 1 for found in pairs.values()) else None
    between = _correlation(list(means.values()))
    if within is not None:
        num = counted(len(centred), "training")
        text += f" Among the trainings of a row the two correlate with r = {within:.2f} ({num})"
        text += f", among the means of rows with r = {between:.2f}." if between is not None else "."
    return text


def _choice(material: Material, column: Column, means: dict[str, tuple[float, float]]) -> str:
    """Say what would be chosen, as `zetasweep select` does, of the rows with all of their seeds."""
    metric, entries = material.comparison.metric, material.comparison.entries
    whole = [row for row in means if entries[row, column].is_judged and entries[row, column].complete]
    if not whole:
        return "No row has all of its seeds, so that none would be chosen by validation."
    sign, called = -1 if metric.higher_is_better else 1, material.names.row
    chosen, *alike = tied_first(whole, lambda row: sign * means[row][0])
    first = tied_first(whole, lambda row: sign * means[row][1])
    others = some([called(row) for row in first if row != chosen], at_most=NAMED)
    if chosen in first:
        same = "which has the best mean of the test, too" + (f", as have {others}" if others else "")
    else:
        same = f"while {others} {'has' if len(first) == 1 else 'have'} the best mean of the test"
    of = "" if len(whole) == len(means) else f" of the {len(whole)} rows with all of their seeds"
    named = some([called(row) for row in alike], at_most=NAMED)
    tie = f" (the first in the file; as good are {named})" if alike else ""
    return f"By validation {called(chosen)} would be chosen{of}{tie}, {same}."


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    try:
        return correlation([one for one, _ in pairs], [other for _, other in pairs])
    except StatisticsError:  # too few, or all the same
        return None


def _drawn(material: Material, column: Column, pairs: dict[str, Pairs]) -> Drawing:
    metric, by = material.comparison.metric, scale(material.comparison.metric)
    ordered = best_first(list(pairs), lambda row: _means(pairs[row])[1], metric)
    marked = ordered[:MARKED]
    places = places_of(marked, material.comparison.baseline_of(column))
    drawing = new_drawing(3.6 + 0.16 * len(marked))
    axes = drawing.add_subplot()
    handles = []
    for row in ordered:
        look = point_style(places[row]) if row in places else {"color": FAINT, "marker": "."}
        ones, others = zip(*pairs[row].values(), strict=True)
        axes.plot([by * x for x in ones], [by * y for y in others], linestyle="none", markersize=3.5, alpha=0.5, **look)
        mean = _means(pairs[row])
        handles += axes.plot(by * mean[0], by * mean[1], linestyle="none", markersize=8, **look)
    axes.set_xlabel(in_words(resolve_metric(_validated(material))).replace("best/", "validation "))
    axes.set_ylabel(in_words(metric))
    axes.grid()
    labels = [material.names.row(row) for row in marked]
    legend_below(drawing, handles[: len(marked)], labels)
    return drawing
