"""Finished runs to tables, verdicts, plots: pure functions of records."""

from orchestrator.results.answer import Answer, answer_of
from orchestrator.results.best_words import RULED_OUT, survivors
from orchestrator.results.column_words import ASKED_POINTS, seeds_for, units, why_not_compared
from orchestrator.results.comparison import Column, Comparison, check_asked, check_comparing, compare
from orchestrator.results.confirmation import (
    Wanted,
    check_usual,
    check_wanted,
    confirming,
    lost_rows,
    named_as_now,
    put_aside,
    refuse_kept_seeds,
    settle,
    wanted_of,
)
from orchestrator.results.confirmation_text import choice_lines, kept_lines, lines_above, price_line, progress_line
from orchestrator.results.exports import models_to_export
from orchestrator.results.final import check_metric_is_there, lacks_for_publication
from orchestrator.results.formats.markdown import escaped as markdown_text
from orchestrator.results.levels import level
from orchestrator.results.looks import Seeds
from orchestrator.results.meant_images import about
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.names import Names, named
from orchestrator.results.predictions import predictions_of_cell, read_predictions, some_predictions_of_cell
from orchestrator.results.race_words import (
    BIASED,
    progress_text,
    rung_lines,
    rung_text,
    search_lines,
    share_text,
    stopped_text,
    winner_text,
)
from orchestrator.results.raced import Raced, Reached, races_of
from orchestrator.results.row_costs import costs_of_rows
from orchestrator.results.rows import lay_out
from orchestrator.results.selection import Selection, check_metric, check_selected, select
from orchestrator.results.selection_text import describe_selection, render_selection
from orchestrator.results.statistics import Analysis, RowVerdict, Verdict
from orchestrator.results.status import render_status
from orchestrator.results.terminal import Format, render
from orchestrator.results.wording import (
    MARKS,
    MIXED_DATA,
    STOPPED,
    against,
    compared_with,
    number,
    remarks,
    shown,
    shown_stopped,
    title,
)

__all__ = [
    "ASKED_POINTS",
    "BIASED",
    "MARKS",
    "MIXED_DATA",
    "RULED_OUT",
    "STOPPED",
    "Analysis",
    "Answer",
    "Column",
    "Comparison",
    "Format",
    "Metric",
    "Names",
    "Raced",
    "Reached",
    "RowVerdict",
    "Seeds",
    "Selection",
    "Verdict",
    "Wanted",
    "about",
    "against",
    "answer_of",
    "check_asked",
    "check_comparing",
    "check_metric",
    "check_metric_is_there",
    "check_selected",
    "check_usual",
    "check_wanted",
    "choice_lines",
    "compare",
    "compared_with",
    "confirming",
    "costs_of_rows",
    "describe_selection",
    "kept_lines",
    "lacks_for_publication",
    "lay_out",
    "level",
    "lines_above",
    "lost_rows",
    "markdown_text",
    "models_to_export",
    "named",
    "named_as_now",
    "number",
    "predictions_of_cell",
    "price_line",
    "progress_line",
    "progress_text",
    "put_aside",
    "races_of",
    "read_predictions",
    "refuse_kept_seeds",
    "remarks",
    "render",
    "render_selection",
    "render_status",
    "resolve_metric",
    "rung_lines",
    "rung_text",
    "search_lines",
    "seeds_for",
    "select",
    "settle",
    "share_text",
    "shown",
    "shown_stopped",
    "some_predictions_of_cell",
    "stopped_text",
    "survivors",
    "title",
    "units",
    "wanted_of",
    "why_not_compared",
    "winner_text",
]
