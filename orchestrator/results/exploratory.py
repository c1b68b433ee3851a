"""What of a table was not settled by its file, so that somebody may have chosen it by looking at the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from orchestrator.errors import UserError
from orchestrator.experiment import Comparing
from orchestrator.results.baselines import Baseline
from orchestrator.results.metric import Metric, resolve_metric
from orchestrator.results.rows import Column

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
    in_file: Comparing,
    comparing: Comparing,
    *,
    metric: Metric,
    num_columns: int,
    baselines: Mapping[Column, Baseline],
    is_asked: bool,
    usual: Callable[[], Mapping[Column, Baseline]],
) -> Iterator[str]:
    """Yield why a table is exploratory, a clause each; nothing where it is as the file says.

    Args:
        in_file: What the file says.
        comparing: What was said in its place, which goes for the table.
        metric: That is shown.
        num_columns: How many the table has.
        baselines: The row that the others of each column are compared with.
        is_asked: Whether somebody named that row beside `comparing`.
        usual: Returns what it were by `in_file`, or raises UserError.
    """
    if not is_metric(metric, in_file.metric):
        yield OTHER_METRIC
    if is_asked or comparing.baseline != in_file.baseline:
        try:
            expected = usual()
        except UserError:  # with --best-of, its label is none of this table's
            expected = {}
        if _rows(baselines) != _rows(expected):
            yield OTHER_BASELINE
    if comparing.margin != in_file.margin and is_metric(metric, comparing.metric):
        yield OTHER_MARGIN
    if (in_file.family, comparing.family) == ("table", "column") and num_columns > 1:
        yield OTHER_FAMILY


def _rows(baselines: Mapping[Column, Baseline]) -> dict[Column, str]:
    return {column: found.row for column, found in baselines.items()}


def is_metric(metric: Metric, name: str) -> bool:
    """Return whether `name` means a metric; False of one that nobody knows."""
    try:
        return resolve_metric(name).key == metric.key
    except UserError:
        return False
