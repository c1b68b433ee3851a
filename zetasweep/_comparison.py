"""A comparison of augmentations as Python has it: numbers in tables of pandas, texts, and what a notebook shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from orchestrator.records import CellRun
from orchestrator.report import comparison_html
from orchestrator.results import MARKS, Column, Comparison, Format, Names, answer_of, named, remarks, render, shown
from orchestrator.terminal import text_of


@dataclass(frozen=True, repr=False)
class Compared:
    """The augmentations of an experiment, compared; printed, it is the table of ``zetasweep compare``.

    Attributes:
        comparison: All of it, unrounded.
        names: What rows and columns are called.
        runs: Of the cells, by key.
    """

    comparison: Comparison
    names: Names
    runs: Mapping[str, CellRun]

    @property
    def metric(self) -> str:
        """What is compared, e.g. ``test/error``."""
        return self.comparison.metric.key

    @property
    def remarks(self) -> tuple[str, ...]:
        """What stands below the table: what is best, what the table can see, and what must be said beside it."""
        return tuple(remarks(named(self.comparison, self.names)))

    def table(self) -> pd.DataFrame:
        """Return the table as it is shown: texts such as ``≈ 3.10 ± 0.20`` by row, and by data set and model."""
        comparison = self.comparison
        texts = {
            (self.names.dataset(column.dataset), self.names.model(column.model)): [
                self._text(row, column) for row in comparison.rows
            ]
            for column in comparison.columns
        }
        columns = pd.MultiIndex.from_tuples(list(texts), names=["data set", "model"])
        # Not a mapping to `texts`: pandas would take a name for a level of the columns.
        rows = pd.Index([self.names.row(row) for row in comparison.rows], name=self.metric)
        return pd.DataFrame(dict(enumerate(texts.values())), index=rows).set_axis(columns, axis=1)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the numbers: a line for each row and column, the best of a column first, shares in percent.

        Columns: ``data set``, ``model``, ``augment`` (the row), ``gamma``, ``num_mixed``, ``alpha``, ``metric`` with
        its unit, ``mean``, ``std`` over seeds, ``n`` of them and how many are ``planned``, ``standing`` (``best``,
        ``may be best``, ``ruled out``, ``not judged``, or ``stopped`` by a race, with the validation of its rung as
        ``metric`` and ``mean``), and of what is compared ``against`` the baseline its
        ``difference``, the interval from ``low`` to ``high``, the ``verdict``, and ``about`` which images it is.
        """
        answer = answer_of(self.comparison, self.names)
        return pd.DataFrame(answer.rows, columns=list(answer.columns))

    @property
    def verdicts(self) -> pd.DataFrame:
        """The lines of `to_dataframe` that are compared with the baseline: which differ from it, and by how much."""
        found = self.to_dataframe()
        columns = ["data set", "model", "augment", "against", "difference", "low", "high", "verdict", "about"]
        return found.loc[found["verdict"].notna(), columns].reset_index(drop=True)

    def text(self, format: Format = "table") -> str:
        """Return it as ``zetasweep compare --format`` writes it.

        Args:
            format: ``table``, ``markdown``, ``csv``, ``latex`` or ``json``.
        """
        return text_of(render(self.comparison, format, names=self.names, runs=self.runs))

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return comparison_html(self.comparison, self.names)

    def _text(self, row: str, column: Column) -> str:
        entry = self.comparison.entries[row, column]
        text = shown(entry, self.comparison.metric)
        return f"{MARKS[entry.standing]:1} {text.mean}{text.spread} {text.seeds}".strip()
