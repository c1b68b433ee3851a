"""Which rows of a column may be the best, out of how many, and in which words that is said.

By Hsu's comparison with the best a row is ruled out if some other row is at least as good. That is all that is shown:
in a table of many rows that do not differ, some row is mostly ruled out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.amounts import counted, some
from orchestrator.results.comparison import Column, Comparison

RULED_OUT = "some other row is at least as good"
BEST = "no other row is better"
NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Survivors:
    """What is left of a column's rows.

    Attributes:
        kept: Those that may be the best.
        out: Those that are ruled out.
        not_judged: Planned rows without an answer: they have no value, a training failed, or a value is not finite.
        is_starred: A single one is left, it has all of its seeds, and every planned row is judged.
    """

    kept: tuple[str, ...]
    out: tuple[str, ...]
    not_judged: tuple[str, ...]
    is_starred: bool

    @property
    def of_rows(self) -> str:
        """``6 rows``; ``5 judged rows of 6`` where one is not judged."""
        num_judged = len(self.kept) + len(self.out)
        if not self.not_judged:
            return counted(num_judged, "row")
        return f"{counted(num_judged, 'judged row')} of {num_judged + len(self.not_judged)}"

    def of_one(self, shown: Callable[[str], str] = str) -> str:
        """Return what is said of a single row that is left, a clause; `shown` is what a row is called."""
        row = shown(self.kept[0])
        if self.is_starred:
            return f"{row} is the best: {BEST}"
        alone = f"{row} may be the best; it alone of {self.of_rows} is not ruled out"
        return f"{alone}; {self.left(shown)}" if self.not_judged else f"{alone}, and it lacks seeds"

    def left(self, shown: Callable[[str], str] = str) -> str:
        """Return which rows were not judged, a clause."""
        were = "was" if len(self.not_judged) == 1 else "were"
        return f"{some([shown(row) for row in self.not_judged], at_most=4)} {were} {NOT_JUDGED}"


def survivors(comparison: Comparison, column: Column) -> Survivors:
    """Return what is left of the rows of a column of which something may be said."""
    analysis = comparison.headline(column)
    assert analysis is not None, "the metric can compare"
    entries = {row: comparison.entries[row, column] for row in comparison.rows}
    kept = analysis.may_be_best
    return Survivors(
        kept=kept,
        out=tuple(row for row in analysis.means if row not in kept),
        not_judged=tuple(row for row, entry in entries.items() if entry.planned and not entry.is_judged),
        is_starred=any(entry.standing == "best" for entry in entries.values()),
    )
