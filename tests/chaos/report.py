"""What the suite did and what it cost, as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweep_results import Place

HEADER = ("fault", "injected", "rows lost", "rows twice", "median seconds to resume")


@dataclass
class _Row:
    injected: int = 0
    lost: int = 0
    twice: int = 0
    seconds: list[float] = field(default_factory=list)

    def cells(self, fault: str) -> tuple[str, ...]:
        median = f"{statistics.median(self.seconds):.1f}" if self.seconds else "-"
        return fault, str(self.injected), str(self.lost), str(self.twice), median


class Report:
    """Counts the faults, and what they cost, by their names; rows of a sweep with several faults count for each.

    Attributes:
        notes: Other figures, a line each.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self.notes: list[str] = []

    def injected(self, fault: str) -> None:
        """Count a fault."""
        self._rows.setdefault(fault, _Row()).injected += 1

    def resumed(self, fault: str, seconds: float) -> None:
        """Note how long it took from a fault to what was saved next."""
        self._rows[fault].seconds.append(seconds)

    def cost(self, faults: Sequence[str], *, lost: Sequence[Place], twice: Sequence[Place]) -> None:
        """Note the rows that a sweep with these faults lost, or has twice."""
        for fault in dict.fromkeys(faults):
            self._rows[fault].lost += len(lost)
            self._rows[fault].twice += len(twice)

    def lines(self) -> list[str]:
        """Return a Markdown table and the notes; no table if nothing was injected."""
        notes = ["", *(f"* {note}" for note in self.notes)] if self.notes else []
        return [*self._table(), *notes]

    def write(self, path: Path) -> None:
        """Write the table to `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.lines()) + "\n", encoding="utf-8")

    def _table(self) -> list[str]:
        if not self._rows:
            return []
        body = [row.cells(fault) for fault, row in self._rows.items()]
        seconds = [value for row in self._rows.values() for value in row.seconds]
        total = _Row(
            injected=sum(row.injected for row in self._rows.values()),
            lost=sum(row.lost for row in self._rows.values()),
            twice=sum(row.twice for row in self._rows.values()),
            seconds=seconds,
        )
        rows = [HEADER, *body, total.cells("all")]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_line(row, widths) for row in rows]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        return [lines[0], _line(rule, widths), *lines[1:]]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"
