"""A comparison in words: what its numbers are, what they say, and what must be said beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.amounts import counted
from orchestrator.results.comparison import Column, Comparison, Entry
from orchestrator.results.contrasts import Contrast
from orchestrator.results.metric import Metric

DELIVERS = "zetasweep run delivers them, without training"
MIXED_DATA = (
    "the data set was changed between these cells, they saw different images or labels: not comparable. Restore it, or "
    "train them again in another storage."
)
UNLIKE_LOSSES = (
    "train/loss is of each augmentation's own images and labels, and mixed labels alone keep it up: the rows cannot be "
    "compared by it, so none is best."
)


def number(value: float, metric: Metric) -> str:
    """A metric's value as shown: fractions in percent with two decimals, others with four."""
    if not math.isfinite(value):
        return "nan"
    return f"{100 * value:z.2f}" if metric.is_fraction else f"{value:z.4f}"


def title(comparison: Comparison, *, best: str) -> str:
    """What the numbers are and how to read them."""
    metric = comparison.metric
    unit = " in %" if metric.is_fraction else ""
    over = "seeds and folds" if _in_folds(comparison) else "seeds"
    if not metric.is_comparable:
        return f"{metric.key}{unit}: mean ± standard deviation over {over}"
    better = "higher" if metric.higher_is_better else "lower"
    return f"{metric.key}{unit}: mean ± standard deviation over {over} ({better} is better, {best})"


def _in_folds(comparison: Comparison) -> bool:
    planned = ({replicate.fold for replicate in entry.planned} for entry in comparison.entries.values())
    return any(len(folds) > 1 for folds in planned)


class Shown(NamedTuple):
    """An entry as shown, e.g. ``4.42``, `` ± 0.12`` and ``n=3``."""

    mean: str
    spread: str
    seeds: str


def shown(entry: Entry, metric: Metric) -> Shown:
    """An entry as shown; ``n=2/3`` is two of three planned seeds."""
    if not entry.planned:
        return Shown("not planned", "", "")
    seeds = f"n={entry.n}" if entry.n == len(entry.planned) else f"n={entry.n}/{len(entry.planned)}"
    if not entry.n:
        return Shown("missing", "", seeds)
    spread = "" if entry.std is None else f" ± {number(entry.std, metric)}"
    return Shown(number(entry.mean, metric), spread, seeds)


def remarks(comparison: Comparison) -> list[str]:
    """What must be said beside the numbers: the verdict for each column, its limits, and what is missing."""
    columns = comparison.columns
    lines = [UNLIKE_LOSSES]
    if comparison.metric.is_comparable:
        lines = [f"{column.label}: {sentence}" for column in columns for sentence in _verdicts(comparison, column)]
    lines += [f"{column.label}: {MIXED_DATA}" for column in comparison.mixed_data]
    with_interval = [contrast for found in comparison.contrasts.values() for contrast in found if contrast.interval]
    if with_interval:
        lines.append(
            "In brackets: 95 % interval of the difference (Student's t, paired over seeds). The best row was picked "
            "by these same numbers, and nothing is corrected for that."
        )
        if any(len(contrast.folds) > 1 for contrast in with_interval):
            lines.append(
                "Folds are trained on the same images for the most part: each counts once, with the mean of its seeds, "
                "and the interval is widened for what they share (Nadeau and Bengio 2003)."
            )
        if any(len(contrast.folds) == 1 for contrast in with_interval):
            lines.append("Of one fold alone the interval is over its seeds, and says nothing of the other folds.")
    if comparison.num_untracked:
        lines.append(
            f"Not in MLflow yet: {comparison.num_untracked} of {counted(comparison.num_cells, 'cell')}, whose results "
            f"are in storage: {DELIVERS}."
        )
    if counts := comparison.without_value:
        names = {state: f"{state} without this metric" for state in ("done", "trained")}
        states = ", ".join(f"{counts[state]} {names.get(state, state)}" for state in sorted(counts))
        lines.append(
            f"Without a value: {sum(counts.values())} of {counted(comparison.num_cells, 'cell')} ({states}). "
            "Only rows with all their seeds can be best."
        )
    return lines


def _verdicts(comparison: Comparison, column: Column) -> Iterator[str]:
    contrasts = comparison.contrasts[column]
    best = [row for row in comparison.rows if comparison.entries[row, column].best]
    if len(best) > 2:
        yield f"{len(best)} rows have the best mean: {', '.join(best)}."
    if contrasts:
        yield from (_sentence(contrast, comparison.metric) for contrast in contrasts)
    elif any(comparison.entries[row, column].complete for row in comparison.rows):
        yield "no other row is complete, so there is nothing to compare the best with."
    else:
        entries = (comparison.entries[row, column] for row in comparison.rows)
        finite = " with a finite value" if any(entry.n and not math.isfinite(entry.mean) for entry in entries) else ""
        yield f"no row has all its seeds{finite}, so none is best."


def _sentence(contrast: Contrast, metric: Metric) -> str:
    if contrast.margin is None:
        return f"{contrast.best} and {contrast.other} have no seed in common: cannot tell."
    if contrast.margin == 0 and contrast.interval is None:
        return f"{contrast.best} and {contrast.other} are equal (n={len(contrast.seeds)}): cannot tell."
    unit = " points" if metric.is_fraction else ""
    relation = f"{'worse' if contrast.margin < 0 else 'better'} than"
    margin = f"{contrast.best} is {number(abs(contrast.margin), metric)}{unit} {relation} {contrast.other}"
    if contrast.margin == 0:
        margin = f"{contrast.best} and {contrast.other} have equal means"
    if len(contrast.seeds) < 2:
        return f"{margin} (n=1): one seed cannot tell."
    pairs = f"{len(contrast.folds)} folds" if len(contrast.folds) > 1 else f"{len(contrast.seeds)} seeds"
    if contrast.interval is None:
        return f"{margin} with each of {pairs}: differences without any spread cannot tell."
    low, high = (number(math.copysign(1, contrast.margin) * bound, metric) for bound in contrast.interval)
    low, high = (high, low) if contrast.margin < 0 else (low, high)
    alone = f", fold {contrast.folds[0]} alone" if len(contrast.folds) == 1 else ""
    return f"{margin} ({low} to {high}, n={len(contrast.seeds)}{alone}): {contrast.verdict}."
