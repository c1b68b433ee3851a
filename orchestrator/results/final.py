"""Whether a table may be published: nothing is left to come, and all of it is in MLflow."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.amounts import counted, some
from orchestrator.errors import UserError
from orchestrator.records import ANEW
from orchestrator.results.comparison import Comparison


def lacks_for_publication(comparison: Comparison) -> Iterator[str]:
    """Yield what keeps a table from being final, each with what to do; nothing if it is."""
    to_do = comparison.remedies
    of_state = {
        "failed": f"{to_do.explains} says why: mend that and {to_do.trains}, or {to_do.other_rows}",
        "running": "wait for the sweep at work",
        "done": "name a metric that they have with --metric",
    }
    for column in comparison.raced:
        yield (
            f"{column.label}: a race has chosen its best rows, which look better than they are: zetasweep confirm "
            "trains them on new seeds, and compare --confirmed --final shows those"
        )
    for state, number in sorted(comparison.without_value.items()):
        if state == "stopped":
            continue
        of = f"{number} of {counted(comparison.num_cells, 'cell')}"
        what = "without this metric" if state in ("done", "trained") else state
        yield f"{of} {what}: {of_state.get('done' if state == 'trained' else state, f'{to_do.trains} trains them')}"
    if comparison.num_untracked:
        yield f"{counted(comparison.num_untracked, 'result')} not in MLflow: zetasweep sync delivers them"
    wild = [f"{row} on {column.label}" for (row, column), entry in comparison.entries.items()
            if entry.n and not math.isfinite(entry.mean)]  # fmt: skip
    if wild:
        yield f"a value is not finite in {some(wild)}: {to_do.other_rows}"
    for column in comparison.mixed_data:
        yield f"{column.label}: its cells saw different images: restore the data set, or {ANEW}"


def check_metric_is_there(comparison: Comparison) -> None:
    """Raise UserError if no finished cell has the metric, though there are some."""
    if comparison.has_finished_cells and not any(entry.n for entry in comparison.entries.values()):
        raise UserError(
            f"metric = {comparison.metric.key}: none of the finished cells has it, since it does not exist with these "
            "images or they are of an earlier version",
            remedy="name another with --metric or compare.metric, e.g. test/error",
        )
