"""What is said of one column, in words for people who are no statisticians."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.amounts import counted, some
from orchestrator.results.best_words import Survivors, survivors
from orchestrator.results.comparison import Column, Comparison, Entry
from orchestrator.results.metric import Metric
from orchestrator.results.numbers import against, number, points, unit
from orchestrator.results.statistics import Analysis, Verdict, share_interval

# What a reader asks of: half a point, or half of the difference that the table sees.
ASKED_POINTS = 0.005
# More rows than that are counted, and named in the table alone; fewer, where they are beside the point.
NAMED, FEW = 8, 4


def sentences(comparison: Comparison, column: Column) -> Iterator[str]:
    """Yield what is said of a column: who was not judged, against the baseline, the best, and what it sees at all."""
    analysis = comparison.headline(column)
    assert analysis is not None, "the metric can compare"
    entries = {row: comparison.entries[row, column] for row in comparison.rows}
    yield from _not_judged(entries, comparison.metric)
    if len(analysis.means) < 2:
        planned = sum(bool(entry.planned) for entry in entries.values())
        remedy = comparison.remedies.trains_missing if planned > 1 else comparison.remedies.more_rows
        yield f"fewer than two rows have values, so there is nothing to compare: {remedy}."
        return
    if not analysis.tells:
        what = units(analysis)
        alone = _mean_alone(comparison, analysis)
        more = comparison.remedies.more(what)
        yield f"too few {what} to tell rows apart: {alone}. Three {what} tell something: {more}."
        if analysis.df and (said := of_power(analysis, comparison.metric)):
            yield said
        return
    yield from _of_baseline(comparison, column, analysis)
    yield _of_best(survivors(comparison, column))
    if column in comparison.new_images:
        yield _of_these_alone(comparison.analyses[column], analysis, comparison.baseline_of(column))
    if said := of_power(analysis, comparison.metric):
        yield said


def units(analysis: Analysis) -> str:
    """Return what a column has several of: seeds, or folds, each of which counts once with the mean of its seeds."""
    return "folds" if analysis.in_folds else "seeds"


def _not_judged(entries: Mapping[str, Entry], metric: Metric) -> Iterator[str]:
    for row, entry in entries.items():
        if entry.num_failed:
            # What has not ended has neither failed nor not.
            ended = entry.n + entry.num_failed
            low, high = share_interval(entry.num_failed, ended)
            failed = f"{entry.num_failed} of {counted(ended, 'training')} failed"
            said = f"{row}: {failed} ({100 * low:.0f} to {100 * high:.0f} % of all would): not judged"
            if entry.mean_with_failures is not None:
                counts = "each failure counts" if entry.num_failed > 1 else "the failure counts"
                said += f"; its mean would be {number(entry.mean_with_failures, metric)} if {counts} as guessing"
            yield f"{said}."
        elif entry.n and not entry.is_judged:
            yield f"{row}: a value is not finite: not judged."


def _mean_alone(comparison: Comparison, analysis: Analysis) -> str:
    best = (max if comparison.metric.higher_is_better else min)(analysis.means.values())
    rows = [row for row, mean in analysis.means.items() if math.isclose(mean, best, rel_tol=1e-9, abs_tol=1e-12)]
    if len(rows) == len(analysis.means):
        return "all have the same mean so far, which says little"
    have = "has" if len(rows) == 1 else "have"
    return f"{some(rows, at_most=NAMED)} {have} the best mean so far, which says little"


def _of_baseline(comparison: Comparison, column: Column, analysis: Analysis) -> Iterator[str]:
    """Say of each row what it is against the baseline, those of one verdict together."""
    metric, baseline = comparison.metric, comparison.baseline_of(column)
    if baseline is None:
        return
    entries = {row: comparison.entries[row, column] for row in comparison.rows}
    if not analysis.rows:
        yield f"{baseline} is the baseline and {why_not_compared(entries[baseline])}, so nothing is compared with it."
        return
    groups: dict[Verdict, list[str]] = {}
    for row, verdict in analysis.rows.items():
        groups.setdefault(verdict.verdict, []).append(row)
    margin = f"within {points(comparison.margin, metric)}" if comparison.margin is not None else ""
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
            yield f"{head}{alone}: {_listed(rows, verdict_, analysis, metric)}."
    if any(verdict.is_rough for verdict in analysis.rows.values()):
        yield f"the intervals are rough: they lean on very few {units(analysis)}."


def why_not_compared(entry: Entry) -> str:
    """Return what is wrong with a row that nothing can be compared with."""
    if entry.num_failed:
        return "is not judged (a training failed)"
    return "is not judged (a value is not finite)" if entry.n else "has no values here"


def _listed(rows: Sequence[str], verdict: Verdict, analysis: Analysis, metric: Metric) -> str:
    """Name the rows with what they differ by: of many, the largest differences, and where there are none, how many."""
    if len(rows) > NAMED and verdict == "not told apart":
        return f"{len(rows)} of {len(analysis.rows)} rows, see --against"
    found = {row: analysis.rows[row] for row in rows}
    shown = list(rows) if len(rows) <= NAMED else sorted(rows, key=lambda row: -abs(found[row].difference))[:NAMED]
    parts = []
    for row in shown:
        difference, interval = against(found[row], metric)
        parts.append(f"{row} by {difference}{unit(metric)} ({interval})" if interval else row)
    left = len(rows) - len(shown)
    return ", ".join(parts) + (f" and {left} more, see --against" if left else "")


def _of_best(found: Survivors) -> str:
    if len(found.kept) == 1:
        return f"{found.of_one()}."
    left = f"; {found.left()}" if found.not_judged else ""
    if not found.out:
        rows = f"the {found.of_rows}" if found.not_judged else "the rows"
        return f"any of {rows} may be the best: none is ruled out{left}."
    out = found.out
    ruled_out = f"ruled out: {', '.join(out)}" if len(out) <= FEW else f"{counted(len(out), 'row')} ruled out"
    return f"may be the best: {some(found.kept, at_most=NAMED)}; {ruled_out}{left}."


def _of_these_alone(these: Analysis, new: Analysis, baseline: str | None) -> str:
    """Say what the test images that are there show beyond what holds for new ones: seldom less."""
    verdicts = {row: verdict.verdict for row, verdict in these.rows.items()}
    told = {
        f"{what} than {baseline}": [
            row for row, said in verdicts.items() if said == what and new.rows[row].verdict != what
        ]
        for what in ("better", "worse")
    }
    told["ruled out"] = [row for row in new.may_be_best if row not in these.may_be_best]
    more = "; ".join(f"{head}: {some(rows, at_most=FEW)}" for head, rows in told.items() if rows)
    return f"of these test images alone also: {more}." if more else "of these test images alone the same may be said."


def of_power(analysis: Analysis, metric: Metric) -> str:
    """Say what the table can see at all: else what is not told apart would be taken for equal.

    Returns:
        A sentence; empty if nothing is known. What would be shown as 0 is left out.
    """
    seen = analysis.detectable or 0.0
    if float(number(seen, metric)) == 0:
        seen = 0.0
    what = f"differences from {points(seen, metric)} on, four times out of five" if seen else ""
    parts = [f"this table sees {what}"] if what else []
    asked = ASKED_POINTS if metric.is_fraction else (analysis.detectable or 0.0) / 2
    if analysis.in_folds:
        parts.append("more folds would lessen that, and not more seeds")
    elif float(number(asked, metric)) > 0 and analysis.variance > 0:
        parts.append(f"{points(asked, metric)} would need {seeds_for(analysis, asked)}")
    return f"{'; '.join(parts)}." if what or (parts and not analysis.in_folds) else ""


def seeds_for(analysis: Analysis, asked: float) -> str:
    """Return how many seeds a difference needs, in words."""
    needed = analysis.seeds_needed(asked)
    if needed is not None:
        return f"about {needed} seeds"
    if replace(analysis, image_variance=0.0).seeds_needed(asked) is not None:
        return "more test images, however many seeds"
    return "more than 1000 seeds"
