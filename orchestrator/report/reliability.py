"""Whether models are right as often as they say: reliability diagrams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.amounts import counted, some
from orchestrator.report.columns import of_columns, places_of, tied_first
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material
from orchestrator.report.measures.calibration import NUM_BINS, Reliability, together
from orchestrator.report.per_image import chosen_rows, count_column
from orchestrator.report.style import FAINT, INK, legend_below, new_drawing, point_style, series_style
from orchestrator.results import Column
from orchestrator.results.statistics import mean_and_std

# More lines cannot be told apart. Of fewer predictions, the share that is right says little.
AT_MOST, LEAST_COUNT, NAMED = 6, 20, 4


@dataclass(frozen=True, eq=False)
class _Row:
    """The predictions of all trainings of a row, and the calibration error of each training by itself.

    Attributes:
        all: Of all trainings together.
        error: The mean of the trainings' errors.
        error_std: Their standard deviation; None of a single one.
        num: How many trainings.
    """

    all: Reliability
    error: float
    error_std: float | None
    num: int

    @property
    def words(self) -> str:
        """Whether it says more than is so, or less, over all predictions."""
        says, is_so = float(self.all.confidences.sum()), float(self.all.hits.sum())
        if math.isclose(says, is_so, rel_tol=1e-6):
            return "as confident as it is right"
        return f"{'over' if says > is_so else 'under'}-confident"


def reliability(material: Material) -> list[Figure]:
    """Return a reliability diagram for each column."""
    return of_columns(material, "reliability", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    found = count_column(material, column)
    rows = {row: _row([each.reliability for each in of.values()]) for row, of in found.rows.items()}
    shown = chosen_rows(material, column, list(rows), at_most=AT_MOST)
    return Figure(
        name=name,
        title=f"Reliability{ending}",
        sentence=_sentence(material, rows, shown) + found.remark,
        draw=lambda: _drawn(material, column, rows, shown),
        data={
            "bins": NUM_BINS,
            "rows": {row: _numbers(of_row) for row, of_row in rows.items()},
        },
    )


def _row(trainings: Sequence[Reliability]) -> _Row:
    error, std = mean_and_std(each.calibration_error for each in trainings)
    return _Row(together(trainings), error, std, len(trainings))


def _sentence(material: Material, rows: Mapping[str, _Row], shown: Sequence[str]) -> str:
    def told(row: str) -> str:
        return f"{material.names.row(row)} ({100 * rows[row].error:.1f} %, {rows[row].words})"

    least = tied_first(list(rows), lambda row: rows[row].error)
    most = tied_first(list(rows), lambda row: -rows[row].error)
    last = f", the most {some(list(map(told, most)), at_most=NAMED)}" if len(least) < len(rows) else ""
    first = some(list(map(told, least)), at_most=NAMED)
    have = "has" if len(least) == 1 else "have, all the same," if len(least) == len(rows) else "have"
    drawn = f" Of {counted(len(rows), 'row')} {len(shown)} are drawn." if len(shown) < len(rows) else ""
    return (
        f"Below the diagonal a model says more than it knows. The least calibration error (test/ece, mean over seeds) "
        f"{have} {first}{last}. {NUM_BINS} bins of equal width, as for test/ece; "
        f"those of fewer than {LEAST_COUNT} predictions are not drawn.{drawn}"
    )


def _numbers(row: _Row) -> dict[str, Any]:
    return {
        "trainings": row.num,
        "ece": row.error,
        "ece_std": row.error_std,
        "counts": row.all.counts.astype(int).tolist(),
        "confidence": row.all.confidence.tolist(),
        "accuracy": row.all.accuracy.tolist(),
    }


def _drawn(material: Material, column: Column, rows: Mapping[str, _Row], shown: Sequence[str]) -> Drawing:
    drawing = new_drawing(4.6)
    axes, histogram = drawing.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 100], [0, 100], color=FAINT, linewidth=0.8, linestyle=":")
    handles, labels = [], []
    places = places_of(shown, material.comparison.baseline_of(column))
    for row in shown:
        of_row, place = rows[row], places[row]
        drawn = of_row.all.counts >= LEAST_COUNT
        look = series_style(place) | point_style(place)
        handles += axes.plot(100 * of_row.all.confidence[drawn], 100 * of_row.all.accuracy[drawn], markersize=4, **look)
        spread = f" ± {100 * of_row.error_std:.1f}" if of_row.error_std is not None else ""
        labels.append(f"{material.names.row(row)}: {100 * of_row.error:.1f}{spread} %")
        shares = 100 * of_row.all.counts / of_row.all.counts.sum()
        histogram.stairs(shares, np.linspace(0, 100, NUM_BINS + 1), **series_style(place))
    axes.set_ylabel("right, in %")
    axes.text(1, 0.02, "says more than it knows", transform=axes.transAxes, ha="right", color=INK, fontsize=8)
    histogram.set_xlabel("confidence, in %")
    histogram.set_ylabel("% of all")
    legend_below(drawing, handles, labels)
    return drawing
