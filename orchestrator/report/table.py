"""The table of the comparison, on a page."""

from __future__ import annotations

from orchestrator.report.columns import label_of
from orchestrator.report.figure import Figure, Material
from orchestrator.report.markup import filled
from orchestrator.results import (
    MARKS,
    STOPPED,
    Column,
    Comparison,
    Names,
    against,
    named,
    remarks,
    shown,
    shown_stopped,
    title,
)

_MARKS = "★ the best, ≈ may be the best, unmarked: ruled out or not judged"


def comparison_html(comparison: Comparison, names: Names) -> str:
    """Return the table and what must be said beside it, as a piece of a page without a look of its own."""
    return filled(
        "comparison.html",
        title=title(comparison, marks=_MARKS),
        table=_table_html(comparison, names),
        remarks=list(remarks(named(comparison, names))),
    )


def table(material: Material) -> list[Figure]:
    """Return the table: means, spreads, numbers of seeds, and differences from the baseline."""
    comparison = material.comparison
    return [
        Figure(
            name="table",
            title="Table",
            sentence=title(comparison, marks=_MARKS) + ".",
            html=_table_html(comparison, material.names),
            data={
                "metric": comparison.metric.key,
                "entries": [
                    {
                        "row": row,
                        "dataset": column.dataset,
                        "model": column.model,
                        "mean": entry.mean,
                        "std": entry.std,
                        "n": entry.n,
                        "planned": len(entry.planned),
                        "standing": entry.standing,
                        "values": {replicate.short: value for replicate, value in entry.values.items()},
                    }
                    for (row, column), entry in comparison.entries.items()
                ],
            },
        )
    ]


def _table_html(comparison: Comparison, names: Names) -> str:
    rows = [
        {"label": names.row(row), "entries": [_entry(comparison, row, column) for column in comparison.columns]}
        for row in comparison.standing_rows
    ]
    stopped = [
        {
            "label": names.row(row),
            "entries": [
                {"mean": part.mean, "rung": part.seeds}
                for column in comparison.columns
                for part in (shown_stopped(comparison.entries[row, column]),)
            ],
        }
        for row in comparison.stopped_rows
    ]
    return filled(
        "table.html",
        columns=[label_of(names, column) for column in comparison.columns],
        rows=rows,
        stopped=stopped,
        stopped_title=f"{STOPPED[:1].upper()}{STOPPED[1:]}",
        # Of a race there is no difference to show.
        baselines=[names.row(comparison.baseline_of(column) or "") for column in comparison.columns]
        if comparison.baselines and comparison.analyses
        else [],
    )


def _entry(comparison: Comparison, row: str, column: Column) -> dict[str, str]:
    entry, analysis = comparison.entries[row, column], comparison.headline(column)
    text = shown(entry, comparison.metric)
    difference, interval = against(analysis.rows.get(row) if analysis is not None else None, comparison.metric)
    return {
        "mark": MARKS[entry.standing].replace("*", "★"),
        "value": f"{text.mean}{text.spread}",
        "seeds": text.seeds,
        "difference": difference,
        "interval": interval,
        "standing": entry.standing.replace(" ", "-"),
    }
