"""Which rows may be the best, and which are ruled out."""

from __future__ import annotations

from typing import Any

from orchestrator.report.columns import best_first, of_columns, scale, told
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material
from orchestrator.report.style import COLORS, FAINT, INK, height_of, label_rows, name_below, new_drawing
from orchestrator.results import MARKS, RULED_OUT, Analysis, Column, survivors

STAR = "★"


def best(material: Material) -> list[Figure]:
    """Return the rows by their means, with those that may be the best, for each column."""
    return of_columns(material, "may-be-best", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    analysis = told(material, column)
    rows = best_first(list(analysis.means), analysis.means.__getitem__, material.comparison.metric)
    kept = set(analysis.may_be_best)
    return Figure(
        name=name,
        title=f"May be the best{ending}",
        sentence=_sentence(material, column),
        draw=lambda: _drawn(material, column, analysis, rows),
        data={
            "metric": material.comparison.metric.key,
            "rows": {row: {"mean": analysis.means[row], "may_be_best": row in kept} for row in rows},
        },
    )


def _sentence(material: Material, column: Column) -> str:
    found, name = survivors(material.comparison, column), material.names.row
    left = f" {found.left(name)}." if found.not_judged and len(found.kept) > 1 else ""
    if not found.out:
        return (
            f"Any of the {found.of_rows} may be the best: none is ruled out. The order of the means is no order of the "
            f"rows.{left}"
        )
    ruled = f"hatched rows are ruled out: of each, {RULED_OUT}"
    if len(found.kept) > 1:
        return f"{len(found.kept)} of {found.of_rows} may be the best; {ruled}.{left}"
    return f"{found.of_one(name)}; {ruled}."


def _drawn(material: Material, column: Column, analysis: Analysis, rows: list[str]) -> Drawing:
    metric, kept = material.comparison.metric, set(analysis.may_be_best)
    entries = material.comparison.entries
    marks = {row: MARKS[entries[row, column].standing].replace("*", STAR) for row in rows}
    labels = [f"{marks[row]} {material.names.row(row)}".strip() for row in rows]
    behind = [scale(metric) * abs(analysis.means[row] - analysis.means[rows[0]]) for row in rows]
    drawing = new_drawing(height_of(labels, of_row_in=0.24))
    axes = drawing.add_subplot()
    for place, row in enumerate(rows):
        look: dict[str, Any] = (
            {"color": COLORS[0]} if row in kept else {"facecolor": "none", "edgecolor": FAINT, "hatch": "////"}
        )
        axes.barh(place, behind[place], height=0.6, **look)
        axes.plot(behind[place], place, marker="o", markersize=4, color=COLORS[0] if row in kept else INK)
    label_rows(axes, labels)
    furthest = max(behind) or 1.0
    axes.set_xlim(-0.015 * furthest, 1.05 * furthest)
    name_below(drawing, f"how far its mean is behind the first{', in points' if metric.is_fraction else ''}")
    return drawing
