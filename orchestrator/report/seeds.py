"""Every training as a dot: what the means of the table are made of."""

from __future__ import annotations

from orchestrator.amounts import counted
from orchestrator.report.columns import in_words, of_columns, points, rows_of, scale
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import COLORS, INK, height_of, label_rows, name_below, new_drawing
from orchestrator.results import Column

NO_RANGE = "each row has a single training, so that nothing is known of how far theirs lie apart"


def seeds(material: Material) -> list[Figure]:
    """Return the values of all trainings, for each column that has some."""
    return of_columns(material, "seeds", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    rows = rows_of(material, column)
    if not rows:
        raise Unavailable(f"No cell has a value: {material.comparison.remedies.trains_missing}.")
    entries = {row: material.comparison.entries[row, column] for row in rows}
    return Figure(
        name=name,
        title=f"Each training{ending}",
        sentence=_sentence(material, column, rows),
        draw=lambda: _drawn(material, column, rows),
        data={
            "metric": material.comparison.metric.key,
            "rows": {
                row: {
                    "mean": entry.mean,
                    "std": entry.std,
                    "values": {replicate.short: value for replicate, value in entry.values.items()},
                }
                for row, entry in entries.items()
            },
        },
    )


def _sentence(material: Material, column: Column, rows: list[str]) -> str:
    metric, entries = material.comparison.metric, material.comparison.entries
    num = sum(entries[row, column].n for row in rows)
    means = [entries[row, column].mean for row in rows]
    ranges = [max(values) - min(values) for row in rows if len(values := entries[row, column].values.values()) > 1]
    single = f"the trainings of a single row up to {points(max(ranges), metric)} apart" if ranges else NO_RANGE
    apart = points(max(means) - min(means), metric)
    said = (f"the means of all rows lie within {apart}, " if len(means) > 1 else "") + single
    return f"Each dot is one of {counted(num, 'training')}, the line their mean. {said[:1].upper()}{said[1:]}."


def _drawn(material: Material, column: Column, rows: list[str]) -> Drawing:
    metric, by = material.comparison.metric, scale(material.comparison.metric)
    labels = [material.names.row(row) for row in rows]
    drawing = new_drawing(height_of(labels))
    axes = drawing.add_subplot()
    for place, row in enumerate(rows):
        entry = material.comparison.entries[row, column]
        values = [by * value for _, value in sorted(entry.values.items())]
        # In the order of the seeds from top to bottom, so that equal values stay apart.
        spread = [place + 0.5 * ((index + 0.5) / len(values) - 0.5) for index in range(len(values))]
        axes.plot(values, spread, linestyle="none", marker="o", markersize=4, alpha=0.85, color=COLORS[0])
        axes.vlines(by * entry.mean, place - 0.34, place + 0.34, color=INK, linewidth=1.6)
    label_rows(axes, labels)
    name_below(drawing, in_words(metric))
    return drawing
