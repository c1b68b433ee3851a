"""What is said first: the comparison of a column in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.report.columns import label_of, points, told
from orchestrator.report.figure import Material, Unavailable
from orchestrator.results import Analysis, Column, Raced, Verdict, about, search_lines, survivors

NAMED = 3


def verdict(material: Material) -> list[str]:
    """Return a sentence for each column, which says what it is about where there are several."""
    columns = material.comparison.columns
    sentences = [_of_column(material, column) for column in columns]
    if len(columns) == 1:
        return sentences
    return [f"{label_of(material.names, column)}: {said}" for column, said in zip(columns, sentences, strict=True)]


def _of_column(material: Material, column: Column) -> str:
    if (raced := material.comparison.raced.get(column)) is not None:
        return _of_race(material, column, raced)
    try:
        analysis = told(material, column)
    except Unavailable as error:
        return f"Nothing can be said yet. {error.reason}"
    parts = [_of_best(material, column), *_of_baseline(material, column, analysis)]
    reasons = " and ".join(material.comparison.exploratory)
    exploratory = f" Exploratory, since {reasons}." if reasons else ""
    return f"{'; '.join(parts)}. This is about {about(material.comparison, column).text}.{exploratory}"


def _of_race(material: Material, column: Column, raced: Raced) -> str:
    called = material.comparison.called(column)
    said = next(search_lines(raced, lambda name: material.names.row(called(name))))
    worth = "How good it is, zetasweep confirm says, on new seeds: what a race picks looks better than it is."
    return f"{said[:1].upper()}{said[1:]} {worth}" if raced.is_over else f"{said[:1].upper()}{said[1:]}"


def _of_best(material: Material, column: Column) -> str:
    found, name = survivors(material.comparison, column), material.names.row
    if len(found.kept) == 1:
        return found.of_one(name)
    left = f"; {found.left(name)}" if found.not_judged else ""
    if not found.out:
        return f"Any of the {found.of_rows} may be the best{left}"
    return f"{_listed([name(row) for row in found.kept])} may be the best of {found.of_rows}{left}"


def _of_baseline(material: Material, column: Column, analysis: Analysis) -> list[str]:
    if (row := material.comparison.baseline_of(column)) is None or not analysis.rows:
        return []
    baseline = material.names.row(row)

    def that_are(verdict: Verdict) -> list[str]:
        return [material.names.row(row) for row, found in analysis.rows.items() if found.verdict == verdict]

    margin = material.comparison.margin
    within = "" if margin is None else f" within {points(margin, material.comparison.metric)}"
    words: dict[Verdict, str] = {
        "better": f"better than {baseline}",
        "worse": f"worse than {baseline}",
        "equal within margin": f"equal to {baseline}{within}",
        "too few seeds": f"without a seed in common with {baseline}",
    }
    said = [
        f"{_listed(rows)} {'is' if len(rows) == 1 else 'are'} {word}"
        for verdict, word in words.items()
        if (rows := that_are(verdict))
    ]
    left = that_are("not told apart")
    if len(left) == len(analysis.rows):
        return [f"no row is told apart from {baseline}"]
    if left and not that_are("better") and not that_are("worse"):
        said.append(f"{_listed(left)} {'is' if len(left) == 1 else 'are'} not told apart from {baseline}")
    return said


def _listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many there are more."""
    if len(names) <= NAMED + 1:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
