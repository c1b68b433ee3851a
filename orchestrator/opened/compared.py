"""The comparison of an opened experiment; it takes seconds to import, like `orchestrator.opened.tracked`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from orchestrator.experiment import Comparing
from orchestrator.opened.experiment import Opened
from orchestrator.opened.tracked import tracker_of
from orchestrator.records import CellRun
from orchestrator.results import Comparison, races_of
from orchestrator.tracking import compared


def comparison_of(
    opened: Opened,
    runs: Mapping[str, CellRun],
    *,
    metric: str | None = None,
    baseline: str | None = None,
    comparing: Comparing | None = None,
    best_of_settings: Sequence[str] = (),
) -> Comparison:
    """Return the comparison that somebody looks at, see `orchestrator.tracking.compared`; `runs` from `runs_of`."""
    return compared(
        opened.experiment,
        opened.cells,
        runs,
        opened.storage,
        partial(tracker_of, opened),
        is_look=True,
        metric=metric,
        baseline=baseline,
        comparing=comparing,
        best_of_settings=best_of_settings,
        races=races_of(opened.followed),
    )
