"""What the table can see: how small a difference, with how many seeds."""

from __future__ import annotations

from statistics import median

from orchestrator.report.columns import of_columns, points, scale, told
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import COLORS, FAINT, INK, legend_below, new_drawing
from orchestrator.results import ASKED_POINTS, Analysis, Column, Metric, seeds_for

# Of the difference that the table sees: from a third to twice as much.
FACTORS = tuple(0.3 * 1.07**step for step in range(29))
TICKS = (2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


def power(material: Material) -> list[Figure]:
    """Return the least difference that is seen four times out of five, by the number of seeds, for each column."""
    return of_columns(material, "power", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    comparison, analysis = material.comparison, told(material, column)
    if analysis.in_folds:
        raise Unavailable("In folds more seeds lessen little of what is seen: it takes more folds, and what these add.")
    if (row := comparison.baseline_of(column)) is None:
        remedy = comparison.remedies.baseline
        raise Unavailable(f"Without a baseline nothing is known of what can be seen: {remedy}.")
    if not analysis.detectable:
        baseline = material.names.row(row)
        why = "nothing is compared with it" if not analysis.rows else "values do not spread, or share no seeds with it"
        raise Unavailable(f"What can be seen from {baseline} on is not known, since {why}.")
    curves = {"these test images": _curve(comparison.analyses[column])}
    if column in comparison.new_images:
        curves["new images like these"] = _curve(comparison.new_images[column])
    num_seeds = median(len(comparison.entries[row, column].values) for row in analysis.means)
    return Figure(
        name=name,
        title=f"What can be seen{ending}",
        sentence=_sentence(analysis, num_seeds, comparison.metric),
        draw=lambda: _drawn(curves, analysis, num_seeds, comparison.metric),
        data={"seeds": num_seeds, "detectable": analysis.detectable, "seeds_by_difference": curves},
    )


def _curve(analysis: Analysis) -> list[tuple[float, int]]:
    """Return the least differences that are seen, each with how many seeds it needs; the largest first."""
    asked = [(analysis.detectable or 0.0) * factor for factor in FACTORS]
    needed = [(difference, analysis.seeds_needed(difference)) for difference in asked]
    least = {seeds: difference for difference, seeds in reversed(needed) if seeds is not None}
    return [(difference, seeds) for seeds, difference in sorted(least.items())]


def _sentence(analysis: Analysis, num_seeds: float, metric: Metric) -> str:
    assert analysis.detectable is not None
    asked = ASKED_POINTS if metric.is_fraction else analysis.detectable / 2
    need = seeds_for(analysis, asked)
    seen = points(analysis.detectable, metric)
    return (
        f"With {num_seeds:g} seeds this table sees differences from {seen} on, four times out of five; "
        f"{points(asked, metric)} would need {need}."
    )


def _drawn(curves: dict[str, list[tuple[float, int]]], analysis: Analysis, num_seeds: float, metric: Metric) -> Drawing:
    by = scale(metric)
    drawing = new_drawing(3.2)
    axes = drawing.add_subplot()
    handles = []
    for index, curve in enumerate(curves.values()):
        seeds, differences = [seeds for _, seeds in curve], [by * difference for difference, _ in curve]
        dashes = "-" if index == 0 else (0, (5, 2))
        handles += axes.plot(seeds, differences, color=COLORS[index], linestyle=dashes, linewidth=1.6)
    assert analysis.detectable is not None
    handles += axes.plot(num_seeds, by * analysis.detectable, linestyle="none", marker="o", color=INK)
    labels = [*curves, "this table"]
    if metric.is_fraction:
        handles.append(axes.axhline(0.5, color=FAINT, linewidth=0.8, linestyle=":"))
        labels.append("half a point")
    axes.set_xscale("log")
    shown = [tick for tick in TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    axes.set_xticks(shown, [str(tick) for tick in shown])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seeds of each row")
    axes.set_ylabel(f"difference that is seen{', in points' if metric.is_fraction else ''}")
    axes.grid()
    legend_below(drawing, handles, labels)
    return drawing
