"""The validation metric by epoch, mean over the trainings of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any

from orchestrator.errors import UserError
from orchestrator.report.columns import best_first, in_words, of_columns, places_of, points, rows_of, scale
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import FAINT, legend_below, new_drawing, series_style
from orchestrator.results import Column, Metric, resolve_metric

# So many rows are drawn in colours, the baseline and the best among them; the others are grey.
COLORED = 6
# More epochs than that are thinned out: a line has no more dots on any screen.
POINTS = 200


def curves(material: Material) -> list[Figure]:
    """Return the learning curves of each column."""
    metric = of_epochs(material.comparison.metric)
    return of_columns(material, "learning-curves", partial(_of_column, metric=metric))


def of_epochs(metric: Metric) -> Metric:
    """Return the validation metric that is known of each epoch and nearest to one: the same, or else the error."""
    try:
        return resolve_metric(f"val/{metric.name}")
    except UserError:
        return resolve_metric("val/error")


def epoch_metrics(metric: Metric) -> tuple[str, ...]:
    """Return what figures of a comparison by `metric` ask of each epoch."""
    return (of_epochs(metric).key,)


def _of_column(material: Material, column: Column, name: str, ending: str, *, metric: Metric) -> Figure:
    means = {row: mean for row in rows_of(material, column) if (mean := _mean_curve(material, row, column, metric))}
    epochs = max((len(mean) for mean in means.values()), default=0)
    if not means:
        raise Unavailable("The metrics of the epochs are neither in MLflow nor in storage: zetasweep doctor looks why.")
    if epochs < 2:
        raise Unavailable("A single epoch is no curve: raise train.epochs.")
    return Figure(
        name=name,
        title=f"Learning curves{ending}",
        sentence=_sentence(means, metric),
        draw=lambda: _drawn(material, column, means, metric),
        data={"metric": metric.key, "rows": {row: dict(enumerate(mean, start=1)) for row, mean in means.items()}},
    )


def _mean_curve(material: Material, row: str, column: Column, metric: Metric) -> list[float]:
    """Return the mean of each epoch over the finished trainings that have it; NaN for an epoch that none has."""
    known: dict[int, list[float]] = {}
    for cell in material.comparison.cells.get((row, column), ()):
        run = material.runs.get(cell.key)
        for result in (material.curves(cell) or ()) if run is not None and run.has_result else ():
            if metric.key in result.metrics:
                known.setdefault(result.epoch, []).append(result.metrics[metric.key])
    last = max(known, default=0)
    return [fmean(known[epoch]) if epoch in known else math.nan for epoch in range(1, last + 1)]


def _sentence(means: dict[str, list[float]], metric: Metric) -> str:
    ends = [curve[-1] for curve in means.values() if math.isfinite(curve[-1])]
    if not ends:
        return f"{metric.key} by epoch, mean over the trainings of a row."
    # A single epoch has none before it.
    late = [(curve[-1 - max(1, len(curve) // 10)], curve[-1]) for curve in means.values() if len(curve) > 1]
    gains = [before - end for before, end in late if math.isfinite(before - end)]
    gain = fmean(gains) * (-1 if metric.higher_is_better else 1) if gains else 0.0
    by = points(abs(gain), metric)
    moved = f"got {'better' if gain > 0 else 'worse'} by {by}" if by != points(0.0, metric) else "hardly moved"
    alone = len(ends) == 1
    within = "" if alone else f"; the curves end within {points(max(ends) - min(ends), metric)}"
    late_words = f" In the last tenth of the epochs the mean of all rows {moved}." if gains else ""
    return f"Mean over the trainings of a row{within}.{late_words}"


def _drawn(material: Material, column: Column, means: dict[str, list[float]], metric: Metric) -> Drawing:
    from matplotlib.ticker import MaxNLocator

    baseline = material.comparison.baseline_of(column)
    colored = _colored(baseline, means, metric)
    places = places_of(colored, baseline)
    drawing = new_drawing(3.4 + 0.16 * len(colored))
    axes = drawing.add_subplot()
    for row, curve in means.items():
        if row not in colored:
            axes.plot(*_thinned(curve, metric, at_most=POINTS // 4), color=FAINT, linewidth=0.6, alpha=0.6)
    handles = [
        axes.plot(*_thinned(means[row], metric), linewidth=1.5, **series_style(places[row]))[0] for row in colored
    ]
    labels = [material.names.row(row) for row in colored]
    if len(colored) < len(means):
        handles.append(axes.plot([], [], color=FAINT, linewidth=0.6)[0])
        labels.append(f"{len(means) - len(colored)} other rows")
    axes.set_xlabel("epoch")
    axes.set_ylabel(in_words(metric))
    axes.grid(axis="y")
    _make_logarithmic(axes, [value for curve in means.values() for value in curve])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(drawing, handles, labels)
    return drawing


def _make_logarithmic(axes: Any, values: Sequence[float]) -> None:
    """Have the vertical axis show ratios where the ends of the curves would be one line beside their beginning."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = [value for value in values if math.isfinite(value)]
    if not known or min(known) <= 0 or max(known) < 10 * min(known):
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _colored(baseline: str | None, means: dict[str, list[float]], metric: Metric) -> list[str]:
    """Return the rows that are told apart by colour: all if they are few, else the baseline and those that end best."""
    if len(means) <= COLORED:
        return list(means)
    worst = -math.inf if metric.higher_is_better else math.inf
    ends = {row: curve[-1] if math.isfinite(curve[-1]) else worst for row, curve in means.items()}
    first = [row for row in means if row == baseline]
    ordered = best_first([row for row in means if row != baseline], ends.__getitem__, metric)
    return first + ordered[: COLORED - len(first)]


def _thinned(curve: Sequence[float], metric: Metric, *, at_most: int = POINTS) -> tuple[list[int], list[float]]:
    """Return epochs and values to be drawn, the first and the last among them."""
    step = -(-len(curve) // at_most)
    epochs = sorted({*range(1, len(curve) + 1, step), len(curve)})
    return epochs, [scale(metric) * curve[epoch - 1] for epoch in epochs]
