"""All columns at once: what each row is against the baseline, on each data set and model."""

from __future__ import annotations

import math
from collections import Counter

from orchestrator.amounts import some
from orchestrator.report.columns import label_of, points, told
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.forest import LOOKS
from orchestrator.report.style import FAINT, INK, height_of, label_rows, new_drawing, wrapped
from orchestrator.results import Column, RowVerdict, against, compared_with

SIGNS = {"better": "+", "worse": "−", "equal within margin": "=", "not told apart": "", "too few seeds": ""}
# More rows than that are counted.
NAMED = 4
COLUMN_WIDTH = 16


def matrix(material: Material) -> list[Figure]:
    """Return the verdicts of all columns in one figure, where there are several."""
    comparison = material.comparison
    if len(comparison.columns) < 2:
        raise Unavailable("There is one data set with one model: name several in the file for a table of them.")
    verdicts = {column: found for column in comparison.columns if (found := _verdicts(material, column))}
    if not verdicts:
        raise Unavailable("In no column can rows be compared with a baseline: see what the table says.")
    rows = [row for row in comparison.rows if any(row in found for found in verdicts.values())]
    return [
        Figure(
            name="data-sets",
            title="All data sets",
            sentence=_sentence(material, verdicts),
            draw=lambda: _drawn(material, rows, verdicts),
            data={
                "baseline": comparison.baseline,
                "baselines": {column.label: comparison.baseline_of(column) for column in verdicts},
                "columns": {
                    column.label: {
                        row: {"difference": verdict.difference, "verdict": verdict.verdict}
                        for row, verdict in found.items()
                    }
                    for column, found in verdicts.items()
                },
            },
        )
    ]


def _verdicts(material: Material, column: Column) -> dict[str, RowVerdict]:
    try:
        return dict(told(material, column).rows)
    except Unavailable:
        return {}


def _sentence(material: Material, verdicts: dict[Column, dict[str, RowVerdict]]) -> str:
    row = material.comparison.baseline
    baseline = compared_with(material.comparison) if row is None else material.names.row(row)
    better = Counter(row for found in verdicts.values() for row, v in found.items() if v.verdict == "better")
    scope = "Each column speaks for itself: nothing here is a claim over several."
    if not better:
        return f"In none of {len(verdicts)} columns is a row shown to be better than {baseline}. {scope}"
    num = max(better.values())
    rows = [row for row in better if better[row] == num]
    sizes = [abs(found[row].difference) for found in verdicts.values() for row in rows if _is_better(found, row)]
    named = some([material.names.row(row) for row in rows], at_most=NAMED)
    are, each = ("are each", "of theirs ") if len(rows) > 1 else ("is", "")
    return (
        f"{named} {are} shown to be better than {baseline} in {num} of {len(verdicts)} columns; the largest difference "
        f"{each}is {points(max(sizes), material.comparison.metric)}. {scope}"
    )


def _is_better(found: dict[str, RowVerdict], row: str) -> bool:
    return row in found and found[row].verdict == "better"


def _drawn(material: Material, rows: list[str], verdicts: dict[Column, dict[str, RowVerdict]]) -> Drawing:
    labels = [material.names.row(row) for row in rows]
    headers = [wrapped(label_of(material.names, column), width=COLUMN_WIDTH) for column in verdicts]
    drawing = new_drawing(height_of(labels) + 0.3, width_in=max(6.6, 2.6 + 1.15 * len(headers)))
    axes = drawing.add_subplot()
    for across, found in enumerate(verdicts.values()):
        for down, row in enumerate(rows):
            verdict = found.get(row)
            if verdict is None or not math.isfinite(verdict.difference):
                axes.text(across, down, "–", ha="center", va="center", color=FAINT)
                continue
            color, sign = LOOKS[verdict.verdict][0], SIGNS[verdict.verdict]
            if sign:
                axes.barh(down, 0.96, height=0.9, left=across - 0.48, color=color, alpha=0.22)
            difference, _ = against(verdict, material.comparison.metric)
            axes.text(across, down, f"{difference} {sign and f'({sign})'}".strip(), ha="center", va="center", color=INK)
    label_rows(axes, labels)
    axes.grid(visible=False)
    axes.set_xlim(-0.5, len(headers) - 0.5)
    axes.set_xticks(range(len(headers)), headers)
    axes.tick_params(axis="x", length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return drawing
