"""A comparison as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.results.comparison import Column
from orchestrator.results.formats.source import Source
from orchestrator.results.names import named
from orchestrator.results.wording import MARKS, STOPPED, remarks, shown, shown_stopped, title

_MARKED = "the best in bold, ≈ may be the best"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# A line that begins so would be a heading or a list.
_OPENING = re.compile(r"^(\s*\d*)([-+=#.)])")


def markdown(source: Source) -> str:
    """Return a table with the best in bold, what may be the best marked, and the remarks as a list."""
    comparison = named(source.comparison, source.names)
    columns = comparison.columns
    lines = [escaped(title(comparison, marks=_MARKED)), ""]
    header, rule = _row(["augment", *(escaped(column.label) for column in columns)]), "|---" * (len(columns) + 1) + "|"
    lines += [header, rule]

    def amount(row: str, column: Column) -> str:
        entry = comparison.entries[row, column]
        mean, spread, seeds = shown(entry, comparison.metric)
        value = f"**{mean}{spread}**" if entry.standing == "best" else mean + spread
        return f"{MARKS[entry.standing].strip('*')} {value} {seeds}".strip()

    lines += [_row([escaped(row), *(amount(row, column) for column in columns)]) for row in comparison.standing_rows]
    if stopped := comparison.stopped_rows:
        lines += ["", escaped(STOPPED), "", header, rule]
        found = [[shown_stopped(comparison.entries[row, column]) for column in columns] for row in stopped]
        lines += [
            _row([escaped(row), *(f"{part.mean} {part.seeds}".strip() for part in parts)])
            for row, parts in zip(stopped, found, strict=True)
        ]
    lines += ["", *(f"- {escaped(line)}" for line in remarks(comparison))]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return what GitHub shows as `text`, on one line: nothing in it is HTML, a link, emphasis or a column."""
    text = re.sub(r"[&<>]", lambda found: _ENTITIES[found[0]], " ".join(text.split()))
    text = re.sub(r"[\\`*{}\[\]|~$!]", r"\\\g<0>", text)
    # Between letters it is no emphasis: zeta_mixup.
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    return _OPENING.sub(r"\1\\\2", text)


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"
