"""How many images of each class are recognised, and in which classes rows differ from the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.amounts import counted, some
from orchestrator.experiment import Replicate
from orchestrator.report.columns import of_columns, refuse_raced, tied_first
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material
from orchestrator.report.per_image import Counted, chosen_rows, count_column
from orchestrator.report.style import INK, height_of, label_rows, legend_below, new_drawing, point_style
from orchestrator.results import Column, RowVerdict
from orchestrator.results.statistics import ALPHA, Analysis, analyse

# More rows, or classes, cannot be read in one figure.
ROWS_AT_MOST, CLASSES_AT_MOST, NAMED = 5, 20, 4


@dataclass(frozen=True)
class _Recalls:
    """Recall of each class, and how the rows differ in it.

    Attributes:
        names: Of the classes that have test images.
        support: How many, of each.
        analyses: Of each class, of the rows that the table judges: the intervals of a class hold together. Without a
            baseline where the table says nothing of the column.
        means: Of each class, by row.
        alpha: The error rate of the column.
    """

    names: list[str]
    support: list[int]
    analyses: list[Analysis]
    means: list[dict[str, float]]
    alpha: float

    def is_told(self, verdict: RowVerdict) -> bool:
        """Return whether a row is told apart from the baseline in a class, by the rules of the table."""
        return verdict.verdict != "too few seeds" and self.p(verdict) < self.alpha

    def p(self, verdict: RowVerdict) -> float:
        """Return the p of a row in a class, adjusted for all rows and for all classes (Bonferroni); NaN for none."""
        return min(1.0, len(self.names) * verdict.p) if math.isfinite(verdict.p) else math.nan


def recall(material: Material) -> list[Figure]:
    """Return the recall of each class, for each column."""
    return of_columns(material, "recall", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    refuse_raced(material, column)
    found = count_column(material, column)
    recalls = _recalls(material, column, found)
    shown = chosen_rows(material, column, list(found.rows), at_most=ROWS_AT_MOST)
    return Figure(
        name=name,
        title=f"Recall of each class{ending}",
        sentence=_sentence(material, column, recalls, found, shown) + found.remark,
        draw=lambda: _drawn(material, column, recalls, shown),
        data={
            "baseline": material.comparison.baseline_of(column),
            "classes": [
                {
                    "class": class_name,
                    "test_images": recalls.support[at],
                    "recall": recalls.means[at],
                    "against_baseline": {
                        row: {"difference": each.difference, "low": each.low, "high": each.high, "p": recalls.p(each)}
                        for row, each in recalls.analyses[at].rows.items()
                    },
                }
                for at, class_name in enumerate(recalls.names)
            ],
        },
    )


def _recalls(material: Material, column: Column, found: Counted) -> _Recalls:
    support = sum(each.confusion.sum(axis=1) for of_row in found.rows.values() for each in of_row.values())
    classes = np.flatnonzero(support).tolist()
    comparison = material.comparison
    judged = {row for row in found.rows if comparison.entries[row, column].is_judged}
    headline = comparison.headline(column)
    baseline = comparison.baseline_of(column)
    is_compared = headline is not None and headline.tells and baseline in judged
    alpha = ALPHA if headline is None else headline.alpha
    of_cells = {row: {at: each.recall for at, each in of_row.items()} for row, of_row in found.rows.items()}
    folds = comparison_folds(material, column)
    in_folds = folds is not None and len({at.fold for row in judged for at in of_cells[row]}) > 1
    num_cells = sum(map(len, of_cells.values()))
    analyses, means = [], []
    for label in classes:
        values = {row: {at: each[label] for at, each in of_row.items()} for row, of_row in of_cells.items()}
        analyses.append(
            analyse(
                {row: _keyed(of_row, in_folds=in_folds) for row, of_row in values.items() if row in judged},
                baseline=baseline if is_compared else None,
                higher_is_better=True,
                alpha=alpha,
                resolution=num_cells / support[label],
                overlap=1 / (folds - 1) if folds is not None and in_folds else 0.0,
            )
        )
        means.append({row: float(np.nanmean(list(of_row.values()))) for row, of_row in values.items()})
    per_cell = [round(support[label] / num_cells) for label in classes]
    return _Recalls([found.class_names[label] for label in classes], per_cell, analyses, means, alpha)


def comparison_folds(material: Material, column: Column) -> int | None:
    """Return in how many folds the data set of a column is; None if it is in none."""
    every = material.comparison.cells.items()
    return next((cells[0].dataset.folds for (_, at), cells in every if at == column), None)


def _keyed(values: Mapping[Replicate, float], *, in_folds: bool) -> dict[int, float]:
    """Return values by seed, or their means by fold."""
    grouped: dict[int, list[float]] = {}
    for at, value in values.items():
        grouped.setdefault((at.fold or 0) if in_folds else at.seed, []).append(float(value))
    return {key: math.fsum(of) / len(of) for key, of in grouped.items()}


def _sentence(material: Material, column: Column, recalls: _Recalls, found: Counted, shown: Sequence[str]) -> str:
    parts = [_least_recognised(dict(zip(recalls.names, recalls.means, strict=True)))]
    if len(shown) < len(found.rows):
        parts.append(f"Of {counted(len(found.rows), 'row')} {len(shown)} are drawn.")
    if len(recalls.names) > CLASSES_AT_MOST:
        parts.append(f"Of {len(recalls.names)} classes the {CLASSES_AT_MOST} in which rows differ most are drawn.")
    baseline = material.comparison.baseline_of(column)
    if any(analysis.rows for analysis in recalls.analyses):
        told = _told_apart(material, recalls)
        parts.append(
            f"Told apart from {material.names.row(baseline or '')}: {some(told) if told else 'no row in any class'}. "
            f"Thick and filled: told apart, with all rows and {len(recalls.names)} classes allowed for; an interval is "
            "right together with those of the other rows of its class. All is about these test images."
        )
        parts.append("Exploratory: what decides is another metric.")
    elif baseline is not None:
        parts.append("Nothing is told apart here, as in the table: see what it says of this column.")
    return " ".join(parts)


def _least_recognised(means: Mapping[str, Mapping[str, float]]) -> str:
    """Say which class the best row for it recognises least, by the means of each class."""
    least = tied_first(list(means), lambda name: max(means[name].values()))
    if len(least) == len(means) > 1:
        best = 100 * max(means[least[0]].values())
        return f"No class is recognised less than another by the row that is best in it: {best:.0f} %, mean over seeds."
    values = [value for name in least for value in means[name].values()]
    shown = f"{100 * min(values):.0f} to {100 * max(values):.0f} %, by the row (means over seeds)"
    what = "The class that is recognised least is" if len(least) == 1 else "The classes that are recognised least are"
    return f"{what} {some(least, at_most=NAMED)}: {shown}."


def _told_apart(material: Material, recalls: _Recalls) -> list[str]:
    """Return what is told apart from the baseline in words, the largest difference first."""
    told = [
        (each.difference, class_name, row)
        for class_name, analysis in zip(recalls.names, recalls.analyses, strict=True)
        for row, each in analysis.rows.items()
        if recalls.is_told(each)
    ]
    return [
        f"{class_name} ({material.names.row(row)}: {100 * difference:+.1f} points)"
        for difference, class_name, row in sorted(told, key=lambda each: -abs(each[0]))
    ]


def _drawn(material: Material, column: Column, recalls: _Recalls, shown: Sequence[str]) -> Drawing:
    order = sorted(range(len(recalls.names)), key=lambda at: -_spread(recalls.means[at]))
    classes = sorted(order[:CLASSES_AT_MOST])
    labels = [f"{recalls.names[at]} ({recalls.support[at]})" for at in classes]
    has_baseline = any(analysis.rows for analysis in recalls.analyses)
    drawing = new_drawing(height_of(labels, least_in=1.1 + 0.12 * len(shown), of_row_in=0.14 + 0.1 * len(shown)))
    absolute, *more = drawing.subplots(1, 2 if has_baseline else 1, sharey=True, squeeze=False)[0]
    handles = []
    for number, row in enumerate(shown):
        look = point_style(number) | {"linestyle": "none", "markersize": 4}
        places = [place + 0.7 * ((number + 0.5) / len(shown) - 0.5) for place in range(len(classes))]
        values = [100 * recalls.means[at].get(row, math.nan) for at in classes]
        handles += absolute.plot(values, places, **look)
        if more:
            _differences_drawn(more[0], recalls, [recalls.analyses[at].rows.get(row) for at in classes], places, look)
    label_rows(absolute, labels)
    absolute.set_xlabel("recall, in %")
    if more:
        more[0].axvline(0, color=INK, linewidth=0.8)
        more[0].tick_params(axis="y", length=0)
        more[0].grid(axis="y", linewidth=0.5)
        baseline = material.names.row(material.comparison.baseline_of(column) or "")
        more[0].set_xlabel(f"difference from {baseline}, in points")
    legend_below(drawing, handles, [material.names.row(row) for row in shown])
    return drawing


def _differences_drawn(
    axes: Any, recalls: _Recalls, verdicts: Sequence[RowVerdict | None], places: Sequence[float], look: dict[str, Any]
) -> None:
    """Draw those of a row, what is told apart filled and with a thick line."""
    known = [(place, each) for place, each in zip(places, verdicts, strict=True) if each is not None]
    for told, width, filled in ((True, 2.4, {}), (False, 0.8, {"markerfacecolor": "none"})):
        here = [(place, each) for place, each in known if recalls.is_told(each) == told]
        at = [place for place, _ in here]
        lows, highs = ([100 * value for value in of] for of in ([e.low for _, e in here], [e.high for _, e in here]))
        axes.hlines(at, lows, highs, color=look["color"], linewidth=width)
        axes.plot([100 * each.difference for _, each in here], at, **look | filled)


def _spread(means: Mapping[str, float]) -> float:
    return max(means.values()) - min(means.values())
