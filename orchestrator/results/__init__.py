"""Finished runs to tables, verdicts, plots: pure functions of records."""

from orchestrator.results.comparison import check_comparing, compare
from orchestrator.results.metric import resolve_metric
from orchestrator.results.predictions import predictions_of_cell, read_predictions
from orchestrator.results.selection import Selection, check_metric, select
from orchestrator.results.selection_text import render_selection
from orchestrator.results.status import render_status
from orchestrator.results.terminal import Format, render
from orchestrator.results.wording import remarks

__all__ = [
    "Format",
    "Selection",
    "check_comparing",
    "check_metric",
    "compare",
    "predictions_of_cell",
    "read_predictions",
    "remarks",
    "render",
    "render_selection",
    "render_status",
    "resolve_metric",
    "select",
]
