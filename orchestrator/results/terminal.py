"""The comparison for a terminal of any width, or in one of the formats that leave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.records import CellRun
from orchestrator.results.comparison import Column, Comparison
from orchestrator.results.formats import WRITERS, FileFormat, Source
from orchestrator.results.names import Names, named
from orchestrator.results.numbers import against
from orchestrator.results.wording import MARKS, STOPPED, differences_title, remarks, shown, shown_stopped, title
from orchestrator.terminal import plain_table

Format = Literal["table"] | FileFormat
# Narrower, labels such as zeta_mixup(gamma=2.8, num_mixed=64) break inside a parameter.
LABEL_WIDTH = 21
HEADER_WIDTH = 26
GAP = 3


def render(
    comparison: Comparison,
    format: Format,
    *,
    differences: bool = False,
    names: Names | None = None,
    runs: Mapping[str, CellRun] | None = None,
) -> RenderableType:
    """The comparison in one of the formats.

    Args:
        comparison: What is shown.
        format: How.
        differences: Whether the table has columns of the differences from the baseline, and their intervals.
        names: What rows and columns are called there; None for their labels.
        runs: The tracked runs by cell key, for the formats that tell of each cell.

    Returns:
        ``table``: a renderable that fits the console's width, with the columns in several tables if it must;
        otherwise a string (see `orchestrator.results.formats`).
    """
    source = Source(comparison, names or Names(), runs or {})
    if format == "table":
        return ComparisonTable(named(comparison, source.names), differences=differences)
    return WRITERS[format](source)


@dataclass(frozen=True)
class ComparisonTable:
    """The comparison for a terminal of any width."""

    comparison: Comparison
    differences: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the tables and the remarks."""
        yield Text(title(self.comparison, marks="* best, ≈ may be the best"), style="bold")
        if self.differences:
            yield Text(differences_title(self.comparison))
        for columns in self._blocks(options.max_width):
            yield ""
            yield self._table(columns, self.comparison.standing_rows, self._texts, options.max_width)
        if self.comparison.stopped_rows:
            yield ""
            yield Text(f"{STOPPED[:1].upper()}{STOPPED[1:]}", style="bold")
            for columns in self._blocks(options.max_width):
                yield ""
                yield self._table(columns, self.comparison.stopped_rows, self._stopped_texts, options.max_width)
        yield ""
        yield from (Text(f"- {line}") for line in remarks(self.comparison))

    def _blocks(self, max_width: int) -> Iterator[list[Column]]:
        """As many columns for each table as fit, at least one."""
        block: list[Column] = []
        for column in self.comparison.columns:
            widths = (self._width(member, max_width) + GAP for member in [*block, column])
            if block and LABEL_WIDTH + sum(widths) > max_width:
                yield block
                block = []
            block.append(column)
        if block:
            yield block

    def _table(
        self,
        columns: Sequence[Column],
        rows: Sequence[str],
        texts_of: Callable[[Column], dict[str, Text]],
        max_width: int,
    ) -> Table:
        table = plain_table()
        table.add_column("augment", overflow="fold")
        texts = [texts_of(column) for column in columns]
        widths = [self._width(column, max_width) for column in columns]
        labels_width = max(map(len, ("augment", *self.comparison.rows)))
        # What is left goes to the headers: the wider, the fewer lines does a long label take.
        left = max(0, max_width - labels_width - sum(width + GAP for width in widths))
        for column, width in zip(columns, widths, strict=True):
            header = Text(f"{column.dataset}\n{column.model}", overflow="fold")
            wider = max(width, min(_header_width(column), width + left // len(columns)))
            # A fixed width: rich would shrink it, and crop n=2/3 to n=2, before it breaks a label.
            table.add_column(Padding(header, (0, 0, 0, 1)), width=wider)
        for row in rows:
            table.add_row(Text(row), *(column_texts[row] for column_texts in texts))
        return table

    def _width(self, column: Column, max_width: int) -> int:
        """Room for the values, and for a header that folds between its parameters where the terminal has that much."""
        longest_word = 1 + max(map(len, f"{column.dataset} {column.model}".split()))
        header = min(_header_width(column), max(HEADER_WIDTH, longest_word), max_width - LABEL_WIDTH - GAP)
        texts = [*self._texts(column).values(), *self._stopped_texts(column).values()]
        return max(header, *map(len, texts))

    def _stopped_texts(self, column: Column) -> dict[str, Text]:
        """The rows of a column that stand below the line, with means right-aligned and rungs left-aligned."""
        parts = {row: shown_stopped(self.comparison.entries[row, column]) for row in self.comparison.stopped_rows}
        width = max((len(part.mean) for part in parts.values()), default=0)
        return {row: Text(f" {part.mean:>{width}} {part.seeds}", style="dim") for row, part in parts.items()}

    def _texts(self, column: Column) -> dict[str, Text]:
        """The column's cells by row, with the means right-aligned and the numbers of seeds left-aligned."""
        entries = {row: self.comparison.entries[row, column] for row in self.comparison.rows}
        parts = {row: shown(entry, self.comparison.metric) for row, entry in entries.items()}
        mean_width = max((len(parts[row].mean) for row in entries if entries[row].n), default=0)
        amounts = {
            row: f"{part.mean:>{mean_width}}{part.spread}" if entries[row].n else part.mean
            for row, part in parts.items()
        }
        width = max(map(len, amounts.values()))
        beside = self._differences(column)
        return {
            row: Text(
                f"{MARKS[entry.standing]:1}{amounts[row]:<{width}} {parts[row].seeds}{beside.get(row, '')}",
                style="bold" if entry.standing == "best" else "" if entry.complete else "yellow",
            )
            for row, entry in entries.items()
        }

    def _differences(self, column: Column) -> dict[str, str]:
        """What stands behind each row's value: its difference from the baseline, and the intervals of that."""
        comparison, analysis = self.comparison, self.comparison.headline(column)
        if not self.differences or analysis is None:
            return {}
        found = {row: against(verdict, comparison.metric) for row, verdict in analysis.rows.items()}
        these = comparison.analyses[column].rows if column in comparison.new_images else {}
        widths = [max(map(len, texts)) for texts in zip(*found.values(), strict=True)]
        beside = {}
        for row, (difference, interval) in found.items():
            text = f"  {difference:>{widths[0]}}"
            text += f" ({interval})".ljust(widths[1] + 3) if interval else ""
            narrow = against(these.get(row), comparison.metric)[1]
            beside[row] = f"{text} [{narrow}]" if narrow else text.rstrip()
        return beside


def _header_width(column: Column) -> int:
    """Of a header with one line for the data set and one for the model; one more than they, like the values."""
    return 1 + max(len(column.dataset), len(column.model))
