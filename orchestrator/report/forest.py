"""Differences from the baseline with their intervals: about these test images, and about new ones like these."""

from __future__ import annotations

import math
from collections import Counter

from orchestrator.amounts import counted
from orchestrator.report.columns import in_words, of_columns, scale, told
from orchestrator.report.drawing import Drawing
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.style import (
    BETTER,
    EQUAL,
    FAINT,
    INK,
    UNTOLD,
    WORSE,
    height_of,
    label_rows,
    name_below,
    new_drawing,
)
from orchestrator.results import Analysis, Column, RowVerdict, Verdict, about, level, units, why_not_compared

LOOKS: dict[Verdict, tuple[str, str]] = {
    "better": (BETTER, "o"),
    "worse": (WORSE, "s"),
    "equal within margin": (EQUAL, "D"),
    "not told apart": (UNTOLD, "o"),
    "too few seeds": (UNTOLD, "x"),
}


def forest(material: Material) -> list[Figure]:
    """Return a forest plot for each column with a baseline."""
    return of_columns(material, "differences", _of_column)


def _of_column(material: Material, column: Column, name: str, ending: str) -> Figure:
    comparison, headline = material.comparison, told(material, column)
    remedies = comparison.remedies
    if (baseline := comparison.baseline_of(column)) is None:
        raise Unavailable(f"There is no row erm to compare with: {remedies.baseline}.")
    if not headline.rows:
        why = why_not_compared(comparison.entries[baseline, column])
        is_settled = comparison.entries[baseline, column].settled
        remedy = f"{remedies.explains} says why" if is_settled else remedies.trains_missing
        raise Unavailable(f"{material.names.row(baseline)} {why}, so nothing is compared with it: {remedy}.")
    these, new = comparison.analyses[column], comparison.new_images.get(column)
    return Figure(
        name=name,
        title=f"Differences from {material.names.row(baseline)}{ending}",
        sentence=_sentence(material, column, headline),
        draw=lambda: _drawn(material, these, new, headline),
        data={
            "baseline": baseline,
            "metric": comparison.metric.key,
            "rows": {row: _numbers(these.rows.get(row), new.rows.get(row) if new else None) for row in headline.rows},
        },
    )


def _sentence(material: Material, column: Column, headline: Analysis) -> str:
    counts = Counter(verdict.verdict for verdict in headline.rows.values())
    baseline = material.names.row(material.comparison.baseline_of(column) or "")
    heads: dict[Verdict, str] = {
        "better": "better than",
        "worse": "worse than",
        "equal within margin": "equal, within the margin, to",
        "not told apart": "not told apart from",
        "too few seeds": "without a seed in common with",
    }
    of_all = f" of {counted(len(headline.rows), 'row')}"
    said = [
        f"{counts[word]}{of_all} {'is' if counts[word] == 1 else 'are'} {head} {baseline}"
        for word, head in heads.items()
        if counts[word]
    ]
    is_rough = any(verdict.is_rough for verdict in headline.rows.values())
    rough = f" They are rough: they lean on very few {units(headline)}." if is_rough else ""
    together = f" The intervals hold together for all rows at {level(headline.alpha)} %."
    has_intervals = any(math.isfinite(verdict.low) for verdict in headline.rows.values())
    first = f"{', '.join(said)}.{together if has_intervals else ' So there is no interval.'}"
    found = about(material.comparison, column)
    if found.in_folds:
        lines = "They are about new images like these: each fold has test images of its own."
    elif found.new:
        lines = "Thick: trainings on these test images; thin: new images like these."
    else:
        lines = f"{found.why[:1].upper()}{found.why[1:]}."
    return f"{first}{rough} {lines}"


def _numbers(these: RowVerdict | None, new: RowVerdict | None) -> dict[str, dict[str, object] | None]:
    def of(verdict: RowVerdict | None) -> dict[str, object] | None:
        if verdict is None:
            return None
        return {name: getattr(verdict, name) for name in ("difference", "low", "high", "p", "verdict", "is_rough")}

    return {"these_images": of(these), "new_images": of(new)}


def _drawn(material: Material, these: Analysis, new: Analysis | None, headline: Analysis) -> Drawing:
    metric, by = material.comparison.metric, scale(material.comparison.metric)
    rows = list(headline.rows)
    labels = [material.names.row(row) for row in rows]
    drawing = new_drawing(height_of(labels))
    axes = drawing.add_subplot()
    if (margin := material.comparison.margin) is not None:
        axes.axvspan(-by * margin, by * margin, color=FAINT, alpha=0.15, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    for place, row in enumerate(rows):
        color, marker = LOOKS[headline.rows[row].verdict]
        for analysis, width in ((new, 1.2), (these, 4.0)):
            verdict = analysis.rows.get(row) if analysis is not None else None
            if verdict is not None and math.isfinite(verdict.low):
                axes.hlines(place, by * verdict.low, by * verdict.high, color=color, linewidth=width)
        axes.plot(by * headline.rows[row].difference, place, marker=marker, color=INK, markersize=4)
    label_rows(axes, labels)
    unit = " in points" if metric.is_fraction else ""
    name_below(drawing, f"difference{unit} ({in_words(metric)})")
    return drawing
