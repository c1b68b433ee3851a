"""What of a table was not settled by its file, so that somebody may have chosen it by looking at the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.errors import UserError
from orchestrator.experiment import Comparing
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.rows import Layout, baseline_of

OTHER_METRIC = "the metric that decides is another one (compare.metric)"
OTHER_BASELINE = (
    "the file has another baseline (compare.baseline, else erm), and one that is chosen by the table finds what is not "
    "there"
)
OTHER_MARGIN = (
    "the file has another margin (compare.margin, else none), and one that is chosen by the table calls equal what is "
    "not"
)
OTHER_FAMILY = (
    "the file has one error rate for all columns (compare.family), and with one for each some column finds what is not "
    "there"
)


def exploratory(
    layout: Layout,
    in_file: Comparing,
    comparing: Comparing,
    *,
    metric: Metric,
    baseline: str | None,
    is_asked: bool,
    placed: Sequence[str] | None,
) -> Iterator[str]:
    """Yield why a table is exploratory, a clause each; nothing where it is as the file says.

    Args:
        layout: Of the table.
        in_file: What the file says.
        comparing: What was said in its place, which goes for the table.
        metric: That is shown.
        baseline: The row that the others are compared with.
        is_asked: Whether somebody named that row beside `comparing`.
        placed: See `baseline_of`.
    """
    if not is_metric(metric, in_file.metric):
        yield OTHER_METRIC
    if is_asked or comparing.baseline != in_file.baseline:
        try:
            usual, _ = baseline_of(layout, in_file.baseline, must_be_one=False, placed=placed)
        except UserError:  # with --best-of, its label is none of this table's
            usual = None
        if baseline != usual:
            yield OTHER_BASELINE
    if comparing.margin != in_file.margin and is_metric(metric, comparing.metric):
        yield OTHER_MARGIN
    if (in_file.family, comparing.family) == ("table", "column") and len(layout.columns) > 1:
        yield OTHER_FAMILY


def is_metric(metric: Metric, name: str) -> bool:
    """Return whether `name` means a metric; False of one that nobody knows."""
    try:
        return resolve_metric(name).key == metric.key
    except UserError:
        return False
