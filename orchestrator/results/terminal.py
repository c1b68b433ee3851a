"""What the terminal shows of tracked runs: the comparison, the state of the cells, the selection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.amounts import counted
from orchestrator.experiment.cells import Cell
from orchestrator.records import CellRun
from orchestrator.results.comparison import Column, Comparison
from orchestrator.results.export import MIXED_DATA, latex, long_csv, markdown, number, remarks, shown, title
from orchestrator.results.selection import Selection

Format = Literal["table", "markdown", "csv", "latex"]
STATE_STYLES = {"done": "green", "running": "cyan", "failed": "red", "interrupted": "yellow", "missing": "dim"}
# Narrower, labels such as zeta_mixup(gamma=2.8, num_mixed=64) break inside a parameter.
LABEL_WIDTH = 21
HEADER_WIDTH = 26
GAP = 3


def render(comparison: Comparison, format: Format) -> RenderableType:
    """The comparison in one of the formats.

    Returns:
        ``table``: a renderable that fits the console's width, with the columns in several tables if it must;
        otherwise a string (see `orchestrator.results.export`).
    """
    renderers: dict[Format, Callable[[Comparison], RenderableType]] = {
        "table": ComparisonTable,
        "markdown": markdown,
        "csv": long_csv,
        "latex": latex,
    }
    return renderers[format](comparison)


@dataclass(frozen=True)
class ComparisonTable:
    """The comparison for a terminal of any width."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the tables and the remarks."""
        yield Text(title(self.comparison, best="* best"), style="bold")
        for columns in self._blocks(options.max_width):
            yield ""
            yield self._table(columns, options.max_width)
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

    def _table(self, columns: Sequence[Column], max_width: int) -> Table:
        table = _table()
        table.add_column("augment", overflow="fold")
        texts = [self._texts(column) for column in columns]
        widths = [self._width(column, max_width) for column in columns]
        labels_width = max(map(len, ("augment", *self.comparison.rows)))
        # What is left goes to the headers: the wider, the fewer lines does a long label take.
        left = max(0, max_width - labels_width - sum(width + GAP for width in widths))
        for column, width in zip(columns, widths, strict=True):
            header = Text(f"{column.dataset}\n{column.model}", overflow="fold")
            wider = max(width, min(_header_width(column), width + left // len(columns)))
            # A fixed width: rich would shrink it, and crop n=2/3 to n=2, before it breaks a label.
            table.add_column(Padding(header, (0, 0, 0, 1)), width=wider)
        for row in self.comparison.rows:
            table.add_row(Text(row), *(column_texts[row] for column_texts in texts))
        return table

    def _width(self, column: Column, max_width: int) -> int:
        """Room for the values, and for a header that folds between its parameters where the terminal has that much."""
        longest_word = 1 + max(map(len, f"{column.dataset} {column.model}".split()))
        header = min(_header_width(column), max(HEADER_WIDTH, longest_word), max_width - LABEL_WIDTH - GAP)
        return max(header, *(len(text) for text in self._texts(column).values()))

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
        return {
            row: Text(
                f"{'*' if entry.best else ' '}{amounts[row]:<{width}} {parts[row].seeds}",
                style="bold" if entry.best else "" if entry.complete else "yellow",
            )
            for row, entry in entries.items()
        }


def _header_width(column: Column) -> int:
    """Of a header with one line for the data set and one for the model; one more than they, like the values."""
    return 1 + max(len(column.dataset), len(column.model))


def render_status(cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> RenderableType:
    """Each cell's state, epoch and validation error (of the tested epoch once done, else of the last), and failures.

    One table per data set and model, whose labels are too long for a column.
    """
    tables: dict[str, Table] = {}
    states: Counter[str] = Counter()
    reasons = []
    for cell in cells:
        run = runs.get(cell.key)
        state = run.status if run else "missing"
        states[state] += 1
        table = tables.setdefault(f"{cell.dataset.label} / {cell.model}", _status_table())
        table.add_row(Text(cell.augment.label), str(cell.seed), Text(state, style=STATE_STYLES[state]), *_progress(run))
        if run and run.status in ("failed", "interrupted"):
            unknown = "no reason is recorded" if run.status == "failed" else "zetasweep run goes on with it"
            reasons.append(f"- {run.status}: {cell.label} (cell {cell.key}): {run.reason or unknown}")
    summary = ", ".join(f"{states[state]} {state}" for state in STATE_STYLES if states[state])
    reasons.append(f"{counted(len(cells), 'cell')}: {summary or 'none'}")
    titled = (Group(Text(name, style="bold"), table, "") for name, table in tables.items())
    return Group(*titled, *map(Text, reasons))


def _status_table() -> Table:
    table = _table()
    table.add_column("augment", overflow="fold", min_width=6)
    for name in ("seed", "state", "epoch", "val error"):
        table.add_column(name, no_wrap=True, justify="left" if name == "state" else "right")
    return table


def _progress(run: CellRun | None) -> tuple[str, str]:
    """Epoch of epochs and validation error in percent; empty where unknown."""
    if run is None or run.epoch is None:
        return "", ""
    error = run.metrics.get("best/error" if run.status == "done" else "val/error")
    return f"{run.epoch}/{run.epochs}", "" if error is None else f"{100 * error:.2f} %"


def render_selection(selections: Sequence[Selection]) -> RenderableType:
    """For each data set the chosen configuration, by validation only, and what was not eligible."""
    return Group(*(Text("\n".join(_selection_lines(selection))) for selection in selections))


def _selection_lines(selection: Selection) -> Iterator[str]:
    metric, best = selection.metric, selection.best

    def amount(mean: float, std: float | None) -> str:
        spread = "" if std is None else f" ± {number(std, metric)}"
        return f"{number(mean, metric)}{spread}{' %' if metric.is_fraction else ''}"

    if best is None or selection.cell is None:
        yield f"{selection.dataset}: nothing to select, no configuration has all its seeds done"
    else:
        yield f"{selection.dataset}: {best.label}"
        seeds = f"n={len(best.values)}"
        yield f"  validation {metric.name}: {amount(best.mean, best.std)}, {seeds} (the choice looks at nothing else)"
        yield f"  test {metric.name}: {amount(selection.test_mean, selection.test_std)} (for information)"
        yield f"  best seed on validation: {selection.cell.seed} (cell {selection.cell.key}, run {selection.run_id})"
        if selection.model_uri:
            yield f"  its model: {selection.model_uri}"
        for second in selection.ranked[1:2]:
            yield f"  next of {len(selection.ranked)} on validation: {second.label}: {amount(second.mean, second.std)}"
    if selection.mixed_data:
        yield f"  {MIXED_DATA}"
    for candidate in selection.not_eligible:
        n, planned = len(candidate.values), len(candidate.cells)
        reason = f"{n} of {planned} seeds done" if n < planned else "its metric is not finite"
        yield f"  not eligible: {candidate.label}: {reason}"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
