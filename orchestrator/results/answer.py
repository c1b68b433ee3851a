"""What a sweep says, for a tracker that shows texts, tables and numbers: made of a comparison, and of nothing else."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.results.comparison import Column, Comparison, Entry
from orchestrator.results.formats.markdown import escaped, markdown
from orchestrator.results.formats.source import Source
from orchestrator.results.meant_images import about
from orchestrator.results.metric import Metric
from orchestrator.results.names import Names, named
from orchestrator.results.statistics import RowVerdict
from orchestrator.results.wording import remarks

COLUMNS = (
    *("data set", "model", "augment", "gamma", "num_mixed", "alpha", "metric", "mean", "std", "n", "planned"),
    *("standing", "against", "difference", "low", "high", "verdict", "about"),
)
# What MLflow's names of metrics may have.
_FORBIDDEN = re.compile(r"[^\w.\- ]+", re.ASCII)
NAME_LIMIT = 250

Value = str | int | float | None


@dataclass(frozen=True)
class Answer:
    """What is said of a sweep.

    Attributes:
        text: The remarks and then the table, in markdown: what is folded shows its beginning.
        outline: The remarks alone, for who has no room for the text.
        columns: Of the table.
        rows: One for each row and column of the comparison, the best first; shares in percent.
        figures: ``mean``, and where there is a baseline ``difference``, ``low`` and ``high`` from it, of each row and
            column, by a name of letters that every tracker takes; in the unit of the table.
    """

    text: str
    outline: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    figures: dict[str, float]


def answer_of(comparison: Comparison, names: Names) -> Answer:
    """Return what a comparison says, rows and columns called as `names` says."""
    said = "".join(f"- {escaped(line)}\n" for line in remarks(named(comparison, names)))
    return Answer(
        text=f"{said}\n{markdown(Source(comparison, names)).removesuffix(said)}",
        outline=said,
        columns=COLUMNS,
        rows=tuple(row for column in comparison.columns for row in _rows(comparison, column)),
        figures=_figures(comparison),
    )


def _rows(comparison: Comparison, column: Column) -> Iterator[tuple[Value, ...]]:
    metric = comparison.metric
    images = "new images" if about(comparison, column).new else "these images"
    for row, entry in _best_first(comparison, column):
        params = comparison.cells[row, column][0].augment.values
        verdict = _verdict(comparison, row, column)
        yield (
            *(column.dataset, column.model, row),
            *(_plain(params.get(name)) for name in ("gamma", "num_mixed", "alpha")),
            *_amounts(entry, metric),
            *(len(entry.planned), entry.standing),
            comparison.baseline_of(column) if verdict else None,
            *(_shown(getattr(verdict, name, None), metric) for name in ("difference", "low", "high")),
            verdict.verdict if verdict else None,
            images if verdict else None,
        )


def _amounts(entry: Entry, metric: Metric) -> tuple[str, float | None, float | None, int]:
    """Return metric, mean, deviation and number of values: of a row that a race has stopped those of its rung."""
    if entry.is_stopped and entry.reached is not None:
        rung, mean = entry.reached.standing.rung, entry.reached.place.mean
        named = f"best/error in % until epoch {rung.epochs} (rung {entry.reached.standing.number})"
        return named, round(100 * mean, 4) if math.isfinite(mean) else None, None, rung.seeds
    named = f"{metric.key} in %" if metric.is_fraction else metric.key
    return named, _shown(entry.mean, metric), _shown(entry.std, metric), entry.n


def _plain(value: object) -> Value:
    """Return a parameter as a table has it: a tuple, which one of a plug-in may be, as text."""
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _best_first(comparison: Comparison, column: Column) -> list[tuple[str, Entry]]:
    """Return the planned rows by their means: those that are judged before the others, which what is left flatters."""
    sign = -1 if comparison.metric.higher_is_better else 1
    planned = [(row, comparison.entries[row, column]) for row in comparison.rows]
    planned = [(row, entry) for row, entry in planned if entry.planned]
    if column in comparison.raced:
        # Who got further: means over other seeds and epochs are not ranked.
        return sorted(planned, key=lambda each: each[1].reached.sorts_as if each[1].reached else (1,))

    def rank(entry: Entry) -> tuple[bool, float]:
        return not entry.is_judged, sign * entry.mean if math.isfinite(entry.mean) else math.inf

    return sorted(planned, key=lambda each: rank(each[1]))


def _figures(comparison: Comparison) -> dict[str, float]:
    names = _names(comparison)
    found: dict[str, float] = {}
    for place, entry in comparison.entries.items():
        verdict = _verdict(comparison, *place)
        parts = {"mean": entry.mean} | {
            name: getattr(verdict, name) for name in ("difference", "low", "high") if verdict is not None
        }
        for part, value in parts.items():
            shown = _shown(value, comparison.metric)
            if shown is not None:
                found[names[part, place]] = shown
    return found


def _names(comparison: Comparison) -> dict[tuple[str, tuple[str, Column]], str]:
    """Return ``verdict/mean/digits convnet/zeta_mixup gamma 2.8 num_mixed 4`` and the like, no two alike.

    A metric stays in MLflow for ever: what is against another baseline has another name. A name that is cut, or that
    two would have, gets a hash of what it stands for, whatever else the table has.
    """
    of_baseline = {column: f" from {comparison.baseline_of(column)}" for column in comparison.columns}
    texts = {
        (part, (row, column)): (
            part,
            f"{column.dataset} {column.model}",
            row + (of_baseline[column] if part != "mean" else ""),
        )
        for row, column in comparison.entries
        for part in ("mean", "difference", "low", "high")
    }
    names = {place: _name(*each) for place, each in texts.items()}
    uses = Counter(names.values())
    return {
        place: name
        if uses[name] == 1 and len(name) <= NAME_LIMIT
        else f"{name[: NAME_LIMIT - 20]} {_digest(texts[place])}"
        for place, name in names.items()
    }


def _name(part: str, column: str, row: str) -> str:
    words = [" ".join(_FORBIDDEN.sub(" ", text).split()).strip(". ") for text in (column, row)]
    return "/".join(("verdict", part, *(word or "row" for word in words)))


def _digest(texts: tuple[str, ...]) -> str:
    return hashlib.sha256(repr(texts).encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _verdict(comparison: Comparison, row: str, column: Column) -> RowVerdict | None:
    analysis = comparison.headline(column)
    return analysis.rows.get(row) if analysis is not None else None


def _shown(value: float | None, metric: Metric) -> float | None:
    """Return a value in the unit of the table; None where there is none."""
    if value is None or not math.isfinite(value):
        return None
    return round(100 * value if metric.is_fraction else value, 4)
