"""A comparison in the formats that leave the terminal: markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

from orchestrator.results.comparison import Comparison
from orchestrator.results.wording import MARKS, remarks, shown, title

MARKED = "the best in bold, ≈ may be the best"


def markdown(comparison: Comparison) -> str:
    """A GitHub table with the best in bold, what may be the best marked, and the remarks as a list."""
    lines = [
        title(comparison, marks=MARKED),
        "",
        _markdown_row(["augment", *(column.label for column in comparison.columns)]),
        "|---" * (len(comparison.columns) + 1) + "|",
        *(_markdown_row(row) for row in _body(comparison, bold=lambda amount: f"**{amount}**", escape=str)),
        "",
        *(f"- {line}" for line in remarks(comparison)),
    ]
    return "\n".join(lines) + "\n"


def latex(comparison: Comparison) -> str:
    """A booktabs table with the best in bold, what may be the best marked, and the remarks as comments."""
    header = ["augment", *(_latex_escape(column.label) for column in comparison.columns)]
    lines = [
        f"% {title(comparison, marks=MARKED)}",
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
    """A line for each entry; fractions in [0, 1], unrounded but for means; ``values`` as ``seed:value seed:value``,
    ``seed/fold:value`` where the data set is in folds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "model", "augment", "metric", "mean", "std", "n", "planned", "standing", "values"])
    for (row, column), entry in comparison.entries.items():
        mean = repr(entry.mean) if entry.n else ""
        std = "" if entry.std is None else repr(entry.std)
        values = " ".join(f"{replicate.short}:{value!r}" for replicate, value in entry.values.items())
        place = [column.dataset, column.model, row, comparison.metric.key]
        writer.writerow([*place, mean, std, entry.n, len(entry.planned), entry.standing, values])
    return text.getvalue()


def _body(comparison: Comparison, *, bold: Callable[[str], str], escape: Callable[[str], str]) -> Iterator[list[str]]:
    for row in comparison.rows:
        texts = [escape(row)]
        for column in comparison.columns:
            entry = comparison.entries[row, column]
            mean, spread, seeds = shown(entry, comparison.metric)
            amount = escape(mean + spread)
            amount = bold(amount) if entry.standing == "best" else amount
            texts.append(f"{escape(MARKS[entry.standing]).replace('*', '')} {amount} {seeds}".strip())
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
        "≈": r"$\approx$",
    }
)


def _latex_escape(text: str) -> str:
    return text.translate(_LATEX_ESCAPES)
