"""The state of each cell, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.amounts import counted
from orchestrator.errors import NAMED
from orchestrator.experiment import Cell
from orchestrator.records import CellRun
from orchestrator.results.race_words import search_lines, stopped_text
from orchestrator.results.raced import Raced, by_configuration
from orchestrator.terminal import plain_table

STATE_STYLES = {
    "done": "green",
    "trained": "green",
    "running": "cyan",
    "failed": "red",
    "interrupted": "yellow",
    "paused": "cyan",
    "stopped": "dim",
    "missing": "dim",
}


def render_status(
    cells: Sequence[Cell],
    runs: Mapping[str, CellRun],
    *,
    races: Sequence[Raced] = (),
    home: str | None = None,
    command: str = "zetasweep run",
) -> RenderableType:
    """Each cell's state, epoch and validation error (of the tested epoch once done, else of the last), and failures.

    One table per data set and model, whose labels are too long for a column. Below it, where configurations are raced,
    how far the race is, and who was stopped.

    Args:
        cells: All cells of the experiment.
        runs: What is known of them, by key.
        races: The searches of the columns that have one.
        home: The MLflow experiment of the sweep: which of the runs lie elsewhere is said.
        command: What trains and delivers them.
    """
    tables: dict[str, Table] = {}
    searches: dict[str, Raced] = {}
    raced_of = by_configuration(races)
    states: Counter[str] = Counter()
    reasons = []
    for cell in cells:
        run = runs.get(cell.key)
        # A key is a digest, which takes a while: where nothing is raced none is made.
        raced = raced_of.get(cell.config_key) if raced_of else None
        state = raced.state(cell, run) if raced is not None else run.status if run else "missing"
        states[state] += 1
        replicate = "seed" if cell.dataset.fold is None else "seed/fold"
        place = f"{cell.dataset.label} / {cell.model.label}"
        table = tables.setdefault(place, _status_table(replicate))
        if raced is not None:
            searches[place] = raced
        table.add_row(Text(cell.variant), cell.replicate.short, Text(state, style=STATE_STYLES[state]), *_progress(run))
        if run and state in ("failed", "interrupted"):
            unknown = "no reason is recorded" if state == "failed" else f"{command} goes on with it"
            reasons.append(f"- {state}: {cell.label} (cell {cell.key}): {run.reason or unknown}")
    if states["trained"]:
        results = counted(states["trained"], "cell")
        delivers = f"{command} delivers them, without training"
        reasons.append(f"- trained: MLflow lacks the results of {results}, which are in storage: {delivers}")
    if home is not None:
        reasons += _elsewhere(cells, runs, home, command)
    summary = ", ".join(f"{states[state]} {state}" for state in STATE_STYLES if states[state])
    reasons.append(f"{counted(len(cells), 'cell')}: {summary or 'none'}")
    titled = (
        Group(Text(name, style="bold"), table, "", *(_race(searches[name], cells, runs) if name in searches else ()))
        for name, table in tables.items()
    )
    return Group(*titled, *map(Text, reasons))


def _race(raced: Raced, cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> Iterator[RenderableType]:
    """Yield how far the search of a column is, and a table of those that it has stopped, the latest first."""
    yield from (Text(f"- {line}") for line in search_lines(raced, raced.called))
    yield ""
    stopped = [(name, found) for name in raced.order if (found := raced.reached[name]).stop is not None]
    if not stopped or not raced.leaves_out((cell for cell in cells if cell.config_key in raced.points), runs):
        return
    table = plain_table()
    table.add_column("stopped", overflow="fold", min_width=6)
    for name in ("rung", "place", "mean", "the last to go on"):
        table.add_column(name, no_wrap=True, justify="right")
    for name, found in stopped:
        table.add_row(Text(raced.called(name)), *stopped_text(found))
    yield table
    yield ""


def _elsewhere(cells: Sequence[Cell], runs: Mapping[str, CellRun], home: str, command: str) -> Iterator[str]:
    """Yield which runs lie in which other MLflow experiments, with a line for each cell, if they are not too many."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        place = runs[cell.key].experiment if cell.key in runs else None
        if place not in (home, None):
            found.setdefault(place, []).append(cell)
    for place, away in found.items():
        yield (
            f"- {counted(len(away), 'run')} of these cells in MLflow's experiment {place}, by a sweep that had them "
            f"before; {command} links to those that are done in {home}:"
        )
        yield from (f"    {cell.label} (cell {cell.key})" for cell in away[:NAMED])
        if len(away) > NAMED:
            yield f"    and {len(away) - NAMED:,} more"


def _status_table(replicate: str) -> Table:
    table = plain_table()
    table.add_column("augment", overflow="fold", min_width=6)
    for name in (replicate, "state", "epoch", "val error"):
        table.add_column(name, no_wrap=True, justify="left" if name == "state" else "right")
    return table


def _progress(run: CellRun | None) -> tuple[str, str]:
    """Epoch of epochs and validation error in percent; empty where unknown."""
    if run is None or run.epoch is None:
        return "", ""
    error = run.metrics.get("best/error" if run.has_result else "val/error")
    return f"{run.epoch}/{run.epochs}", "" if error is None else f"{100 * error:.2f} %"
