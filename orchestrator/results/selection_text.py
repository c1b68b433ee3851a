"""The selection in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.results.selection import Selection
from orchestrator.results.wording import MIXED_DATA, number


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
        if selection.tied:
            others = "; ".join(candidate.label for candidate in selection.tied)
            yield f"  tie: as good on validation are {others}: the first in the file is chosen"
        yield f"  validation {metric.name}: {amount(best.mean, best.std)}, {seeds} (the choice looks at nothing else)"
        yield f"  test {metric.name}: {amount(selection.test_mean, selection.test_std)} (for information)"
        run = f"run {selection.run_id}" if selection.run_id else "not in MLflow yet: zetasweep run delivers it"
        where = f"(cell {selection.cell.key}, {run})"
        yield f"  best on validation: {selection.cell.replicate.label}{_tied_cells(selection)} {where}"
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


def _tied_cells(selection: Selection) -> str:
    labels = [cell.replicate.label for cell in selection.tied_cells]
    verb = "is" if len(labels) == 1 else "are"
    return f", and {', '.join(labels)} {verb} as good: the first is taken" if labels else ""
