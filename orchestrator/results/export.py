"""A comparison in words and in the formats that leave the terminal: markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from orchestrator.amounts import counted
from orchestrator.results.comparison import Column, Comparison, Entry, Metric
from orchestrator.results.statistics import Contrast

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
    if not metric.is_comparable:
        return f"{metric.key}{unit}: mean ± standard deviation over seeds"
    better = "higher" if metric.higher_is_better else "lower"
    return f"{metric.key}{unit}: mean ± standard deviation over seeds ({better} is better, {best})"


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
    if any(contrast.interval for contrasts in comparison.contrasts.values() for contrast in contrasts):
        lines.append(
            "In brackets: 95 % interval of the difference (Student's t, paired over seeds). The best row was picked "
            "by these same numbers, and nothing is corrected for that."
        )
    if counts := comparison.without_value:
        names = {"done": "done without this metric"}
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
    if contrast.interval is None:
        return f"{margin} with each of {len(contrast.seeds)} seeds: differences without any spread cannot tell."
    low, high = (number(math.copysign(1, contrast.margin) * bound, metric) for bound in contrast.interval)
    low, high = (high, low) if contrast.margin < 0 else (low, high)
    return f"{margin} ({low} to {high}, n={len(contrast.seeds)}): {contrast.verdict}."


def markdown(comparison: Comparison) -> str:
    """A GitHub table with the best in bold, and the remarks as a list."""
    lines = [
        title(comparison, best="best in bold"),
        "",
        _markdown_row(["augment", *(column.label for column in comparison.columns)]),
        "|---" * (len(comparison.columns) + 1) + "|",
        *(_markdown_row(row) for row in _body(comparison, bold=lambda amount: f"**{amount}**", escape=str)),
        "",
        *(f"- {line}" for line in remarks(comparison)),
    ]
    return "\n".join(lines) + "\n"


def latex(comparison: Comparison) -> str:
    """A booktabs table with the best in bold, and the remarks as comments."""
    header = ["augment", *(_latex_escape(column.label) for column in comparison.columns)]
    lines = [
        f"% {title(comparison, best='best in bold')}",
        *(f"% {line}" for line in remarks(comparison)),
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{" + "l" * len(header) + "}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *(
            " & ".join(row) + r" \\"
            for row in _body(comparison, bold=lambda amount: rf"\textbf{{{amount}}}", escape=_latex_escape)
        ),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def long_csv(comparison: Comparison) -> str:
    """One line for each entry; numbers unrounded, fractions in [0, 1], ``values`` as ``seed:value seed:value``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "model", "augment", "metric", "mean", "std", "n", "planned", "best", "values"])
    for (row, column), entry in comparison.entries.items():
        mean = repr(entry.mean) if entry.n else ""
        std = "" if entry.std is None else repr(entry.std)
        values = " ".join(f"{seed}:{value!r}" for seed, value in entry.values.items())
        place = [column.dataset, column.model, row, comparison.metric.key]
        writer.writerow([*place, mean, std, entry.n, len(entry.planned), int(entry.best), values])
    return text.getvalue()


def _body(comparison: Comparison, *, bold: Callable[[str], str], escape: Callable[[str], str]) -> Iterator[list[str]]:
    for row in comparison.rows:
        texts = [escape(row)]
        for column in comparison.columns:
            entry = comparison.entries[row, column]
            mean, spread, seeds = shown(entry, comparison.metric)
            amount = escape(mean + spread)
            texts.append(f"{bold(amount) if entry.best else amount} {seeds}".rstrip())
        yield texts


def _markdown_row(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


_LATEX_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "_%&#${}"}
    | {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
    }
)


def _latex_escape(text: str) -> str:
    return text.translate(_LATEX_ESCAPES)
