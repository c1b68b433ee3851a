"""A comparison in words: what its numbers are, what they say, and what must be said beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from orchestrator.amounts import counted
from orchestrator.results.comparison import Column, Comparison, Entry, Standing
from orchestrator.results.metric import Metric
from orchestrator.results.statistics import Analysis, RowVerdict, Verdict, share_interval

# What stands before a mean.
MARKS: dict[Standing, str] = {"best": "*", "may be best": "≈", "ruled out": "", "not judged": ""}
DELIVERS = "zetasweep run delivers them, without training"
MIXED_DATA = (
    "the data set was changed between these cells, they saw different images or labels: not comparable. Restore it, or "
    "train them again in another storage."
)
UNLIKE_LOSSES = (
    "train/loss is of each augmentation's own images and labels, and mixed labels alone keep it up: the rows cannot be "
    "compared by it, so none is best."
)
METHOD = (
    "In brackets: 95 % intervals of the difference, which hold together for all rows of a column (Dunnett, each row "
    "with a spread of its own). What may be the best is what no other row is shown to be better than (Hsu). Both are "
    "about trainings on these images; other test images would differ, too."
)
# What a reader asks of: half a point, or half of the difference that the table sees.
ASKED_POINTS = 0.005
# More rows than that are counted, and named in the table alone.
NAMED = 8


def number(value: float, metric: Metric) -> str:
    """A metric's value as shown: fractions in percent with two decimals, others with four."""
    if not math.isfinite(value):
        return "nan"
    return f"{100 * value:z.2f}" if metric.is_fraction else f"{value:z.4f}"


def title(comparison: Comparison, *, marks: str) -> str:
    """What the numbers are and how to read them."""
    metric = comparison.metric
    unit = (" in %" if metric.is_fraction else "") + (", exploratory" if comparison.is_exploratory else "")
    over = "seeds and folds" if _in_folds(comparison) else "seeds"
    if not metric.is_comparable:
        return f"{metric.key}{unit}: mean ± standard deviation over {over}"
    better = "higher" if metric.higher_is_better else "lower"
    return f"{metric.key}{unit}: mean ± standard deviation over {over} ({better} is better, {marks})"


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


def against(verdict: RowVerdict | None, metric: Metric) -> tuple[str, str]:
    """A row's difference from the baseline and its interval, as shown; empty where there is none."""
    if verdict is None or not math.isfinite(verdict.difference):
        return "", ""
    difference = number(verdict.difference, metric)
    difference = f"+{difference}" if float(difference) > 0 else difference
    return difference, _interval(verdict, metric) if math.isfinite(verdict.low) else ""


def remarks(comparison: Comparison) -> list[str]:
    """What must be said beside the numbers: the verdict for each column, its limits, and what is missing."""
    columns = comparison.columns
    lines = [] if comparison.metric.is_comparable else [UNLIKE_LOSSES]
    if comparison.metric.is_comparable:
        lines += [f"{column.label}: {sentence}" for column in columns for sentence in _verdicts(comparison, column)]
    lines += [f"{column.label}: {MIXED_DATA}" for column in comparison.mixed_data]
    if any(analysis.tells for analysis in comparison.analyses.values()):
        lines.append(METHOD)
        if _in_folds(comparison):
            lines.append(
                "Folds are trained on the same images for the most part: each counts once, with the mean of its seeds, "
                "and the intervals are widened for what they share (Nadeau and Bengio 2003)."
            )
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
            "Only rows with all their seeds are starred."
        )
    return lines


def _verdicts(comparison: Comparison, column: Column) -> Iterator[str]:
    analysis = comparison.analyses[column]
    entries = {row: comparison.entries[row, column] for row in comparison.rows}
    yield from _not_judged(entries)
    if len(analysis.means) < 2:
        yield "fewer than two rows have values, so there is nothing to compare."
    elif not analysis.tells:
        yield f"too few seeds to tell rows apart: {_means_alone(comparison, analysis)}."
    else:
        yield from _of_baseline(comparison, analysis, entries)
        yield _of_best(analysis, entries)
        yield _of_power(analysis, comparison.metric)


def _not_judged(entries: dict[str, Entry]) -> Iterator[str]:
    for row, entry in entries.items():
        if entry.num_failed:
            low, high = share_interval(entry.num_failed, len(entry.planned))
            failed = f"{entry.num_failed} of {counted(len(entry.planned), 'training')} failed"
            yield f"{row}: {failed} ({100 * low:.0f} to {100 * high:.0f} % of all would): not judged."
        elif entry.n and not math.isfinite(entry.mean):
            yield f"{row}: a value is not finite: not judged."


def _means_alone(comparison: Comparison, analysis: Analysis) -> str:
    best = (max if comparison.metric.higher_is_better else min)(analysis.means, key=analysis.means.__getitem__)
    return f"{best} has the best mean so far, which says little"


def _of_baseline(comparison: Comparison, analysis: Analysis, entries: dict[str, Entry]) -> Iterator[str]:
    """Say of each row what it is against the baseline, those of one verdict together."""
    metric, baseline = comparison.metric, comparison.baseline
    if baseline is None:
        return
    if not analysis.rows:
        yield f"{baseline} is the baseline and has no values here, so nothing is compared with it."
        return
    groups: dict[Verdict, list[str]] = {}
    for row, verdict in analysis.rows.items():
        groups.setdefault(verdict.verdict, []).append(row)
    margin = f"within {number(comparison.margin, metric)}{_unit(metric)}" if comparison.margin is not None else ""
    heads: dict[Verdict, str] = {
        "better": f"better than {baseline}",
        "worse": f"worse than {baseline}",
        "equal within margin": f"equal to {baseline} {margin}",
        "not told apart": f"not told apart from {baseline}",
        "too few seeds": f"no seed in common with {baseline}",
    }
    folds = sorted({fold for entry in entries.values() for fold in entry.folds})
    alone = f" on fold {folds[0]} alone" if len(folds) == 1 else ""
    for verdict_, head in heads.items():
        if rows := groups.get(verdict_):
            yield f"{head}{alone}: {_listed(rows, analysis, metric)}."
    if any(verdict.is_rough for verdict in analysis.rows.values()):
        yield "the intervals are rough: they lean on very few seeds."


def _listed(rows: Sequence[str], analysis: Analysis, metric: Metric) -> str:
    parts = []
    for row in rows[:NAMED]:
        difference, interval = against(analysis.rows[row], metric)
        parts.append(f"{row} by {difference}{_unit(metric)} ({interval})" if interval else row)
    left = len(rows) - NAMED
    return ", ".join(parts) + (f" and {left} more, see --against" if left > 0 else "")


def _of_best(analysis: Analysis, entries: dict[str, Entry]) -> str:
    kept = analysis.may_be_best
    out = len(analysis.means) - len(kept)
    if len(kept) == 1:
        if entries[kept[0]].complete:
            return f"{kept[0]} is the best: every other row is shown to be worse than some row."
        return f"{kept[0]} would be the best, and lacks seeds."
    names = ", ".join(kept[:NAMED]) + (f" and {len(kept) - NAMED} more" if len(kept) > NAMED else "")
    if not out:
        return "any of the rows may be the best: none is ruled out."
    return f"may be the best: {names}; {counted(out, 'row')} ruled out."


def _of_power(analysis: Analysis, metric: Metric) -> str:
    """Say what the table can see at all: else what is not told apart would be taken for equal."""
    what = f"differences from {number(analysis.detectable, metric)}{_unit(metric)} on" if analysis.detectable else ""
    asked = ASKED_POINTS if metric.is_fraction else (analysis.detectable or 0.0) / 2
    needed = analysis.seeds_needed(asked)
    seeds = f"about {needed} seeds" if needed is not None else "more than 1000 seeds"
    need = f"{number(asked, metric)}{_unit(metric)} would need {seeds}"
    return f"this table sees {what}, four times out of five; {need}." if what else f"{need}."


def _interval(verdict: RowVerdict, metric: Metric) -> str:
    return f"{number(verdict.low, metric)} to {number(verdict.high, metric)}"


def _unit(metric: Metric) -> str:
    return " points" if metric.is_fraction else ""
