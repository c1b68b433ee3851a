"""What figures of one column of the table have in common: which there are, what they are called, and in which unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.results import MIXED_DATA, Analysis, Column, Metric, Names, units

_Row = TypeVar("_Row")


def of_columns(
    material: Material, kind: str, make: Callable[[Material, Column, str, str], Figure | None]
) -> list[Figure]:
    """Return a figure for each column that has one.

    Args:
        material: Of the figures.
        kind: Theirs.
        make: Makes the one of a column, with such a name, and such an ending of its title; None for none.

    Raises:
        Unavailable: No column has one; says why the last has none.
    """
    columns = material.comparison.columns
    found: list[Figure] = []
    missing: dict[str, str] = {}
    for number, column in enumerate(columns, start=1):
        name = kind if len(columns) == 1 else f"{kind}-{number}"
        ending = "" if len(columns) == 1 else f": {label_of(material.names, column)}"
        try:
            figure = make(material, column, name, ending)
        except Unavailable as error:
            missing[label_of(material.names, column)] = error.reason
        else:
            found += [figure] if figure is not None else []
    return with_missing(found, missing, of_none="No column of the table has it.")


def with_missing(found: Sequence[Figure], missing: Mapping[str, str], *, of_none: str) -> list[Figure]:
    """Return the figures of a kind, the first of which says of which columns there are none, and why.

    Args:
        found: Of the columns, or data sets, that have one.
        missing: Of the others, why not.
        of_none: Why there are none, where `missing` does not say it.

    Raises:
        Unavailable: There are none; says why the last has none.
    """
    if not found:
        raise Unavailable(list(missing.values())[-1] if missing else of_none)
    first, *others = found
    return [replace(first, missing=tuple(f"{label}: {why}" for label, why in missing.items())), *others]


def label_of(names: Names, column: Column) -> str:
    """Return what a column is called, where it needs a name at all."""
    return f"{names.dataset(column.dataset)} / {names.model(column.model)}"


def told(material: Material, column: Column) -> Analysis:
    """Return what may be said of a column.

    Raises:
        Unavailable: Nothing may.
    """
    if not material.comparison.metric.is_comparable:
        raise Unavailable(
            f"Rows cannot be compared by {material.comparison.metric.key}: name another as compare.metric in the file."
        )
    refuse_raced(material, column)
    if column in material.comparison.mixed_data:
        raise Unavailable(MIXED_DATA[:1].upper() + MIXED_DATA[1:])
    analysis, remedies = material.comparison.headline(column), material.comparison.remedies
    if analysis is None or len(analysis.means) < 2:
        raise Unavailable(f"Fewer than two rows have values: {remedies.trains_missing}.")
    if not analysis.tells:
        what = units(analysis)
        raise Unavailable(f"There are too few {what} to tell rows apart: {remedies.more(what)}.")
    return analysis


def refuse_raced(material: Material, column: Column) -> None:
    """Raise Unavailable if a race leaves cells of a column out: what it picked is not compared by what picked it."""
    if column in material.comparison.raced:
        raise Unavailable(
            "Rows that were raced have no intervals here, since the row that a race picks looks better than it is: "
            "zetasweep confirm trains the best on new seeds, and zetasweep report --confirmed shows those."
        )


def rows_of(material: Material, column: Column) -> list[str]:
    """Return the rows of a column that have values which say what they are."""
    entries = material.comparison.entries
    return [row for row in material.comparison.rows if entries[row, column].values and is_known(material, row, column)]


def is_known(material: Material, row: str, column: Column) -> bool:
    """Return whether the mean of an entry is a number."""
    return math.isfinite(material.comparison.entries[row, column].mean)


def best_first(rows: Sequence[_Row], means: Callable[[_Row], float], metric: Metric) -> list[_Row]:
    """Return rows, or whatever stands for them, in the order of their means."""
    return sorted(rows, key=means, reverse=metric.higher_is_better)


def tied_first(rows: Sequence[_Row], value: Callable[[_Row], float]) -> list[_Row]:
    """Return those whose value is the least, in their order: several where they differ by rounding alone."""
    least = min(map(value, rows))
    return [row for row in rows if math.isclose(value(row), least, rel_tol=1e-9, abs_tol=1e-12)]


def places_of(rows: Sequence[str], baseline: str | None) -> dict[str, int]:
    """Return the place of each row among those that are drawn, the baseline's first: by it they are told apart."""
    return {row: place for place, row in enumerate(sorted(rows, key=lambda row: row != baseline))}


def scale(metric: Metric) -> float:
    """Return by what values are multiplied to be shown."""
    return 100.0 if metric.is_fraction else 1.0


def in_words(metric: Metric) -> str:
    """Return what an axis of a metric is called, e.g. ``test/error in %, lower is better``."""
    better = ("higher" if metric.higher_is_better else "lower") + " is better"
    return f"{metric.key}{' in %' if metric.is_fraction else ''}, {better}"


def points(value: float, metric: Metric) -> str:
    """Return a difference as text, with its unit."""
    return f"{value * scale(metric):.2f} points" if metric.is_fraction else f"{value:.4f}"
