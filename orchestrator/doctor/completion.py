"""Whether MLflow's runs of finished cells have what its UI sorts and groups by; earlier versions did not log it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from orchestrator.amounts import counted
from orchestrator.doctor.finding import Finding, Line
from orchestrator.experiment import Cell
from orchestrator.tracking import Tracker, complete_run, runs_to_complete

WITHOUT = "a finished run without its setting or its errors in percent"


def examine_completion(tracker: Tracker, cells: Sequence[Cell], *, fix: bool) -> Iterator[Line]:
    """Count the finished runs that lack it: no fault.

    Args:
        tracker: Of the store.
        cells: All.
        fix: Whether to name each, with what mends it.

    Raises:
        TrackingError: The store does not answer any more.
    """
    lacking = runs_to_complete(tracker.store, cells)
    if not lacking:
        return
    which = f"{counted(len(lacking), 'finished run')} without a setting to group by or errors in percent"
    yield f"MLflow: {which}, which earlier versions did not log" + ("" if fix else "; --fix adds them")
    for run_id, cell in lacking.items() if fix else ():
        mend = partial(complete_run, tracker.store, run_id, cell)
        yield Finding(WITHOUT, f"run {run_id} (cell {cell.key}, {cell.label})", "", severity="note", mend=mend)
