"""Whether the search of an experiment goes on, or stands still: what its rungs wait for, and who trains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.amounts import counted, some
from orchestrator.doctor.finding import Finding, Line
from orchestrator.experiment import Experiment, columns
from orchestrator.racing import CellLeg, Followed, FollowedColumn, Following
from orchestrator.records import CellRun
from orchestrator.results import progress_text, races_of
from orchestrator.storage import Storage
from orchestrator.tracking import RaceReader, Tracker, kept_of


def follow_search(
    experiment: Experiment, storage: Storage, tracker: Tracker
) -> tuple[Followed | None, dict[str, CellRun]]:
    """Return how far the search of an experiment is, and all runs as it sees them; None of one without a search.

    Raises:
        UserError: What is kept of it cannot be read, or its budget does not suffice.
        TrackingError: MLflow does not answer.
    """
    if experiment.search is None:
        return None, {}
    reader = RaceReader(Following(experiment, columns(experiment)), tracker.store)
    followed, runs = reader.look(tracker.every_cell_run(), kept_of(experiment, storage, tracker.store))
    return followed, followed.seen(runs)


def examine_race(followed: Followed, runs: Mapping[str, CellRun], *, at_work: bool) -> Iterator[Line]:
    """Say how far the search is, and find what keeps it from going on. That cells were stopped is no fault.

    Args:
        followed: The search.
        runs: As it sees them, by key.
        at_work: Whether a sweep may be training it.
    """
    if not any(key in runs for column in followed.columns for cells in column.cells.values() for key in cells):
        return  # nothing has begun
    yield f"search: {progress_text(races_of(followed))}"
    for column in followed.columns:
        deaf = [leg for leg in column.legs if _has_trained(leg, runs)]
        for leg in deaf:
            yield Finding(
                what="a race stands still: MLflow lacks what its rung has to know",
                where=f"{leg.cell.label} (cell {leg.cell.key}): no validation error of epoch {leg.until}",
                remedy="zetasweep run goes on from its checkpoint; where that is gone, delete the run in MLflow, and "
                "the cell is trained again",
            )
        if not at_work and not deaf and not column.is_over:
            yield Finding(
                what="a race stands still: nobody trains what its rung waits for",
                where=_waits(column),
                remedy="zetasweep run goes on with it",
                severity="note",
            )


def _has_trained(leg: CellLeg, runs: Mapping[str, CellRun]) -> bool:
    run = runs.get(leg.cell.key)
    if run is None or run.status == "running":
        return False
    return run.has_result or (run.epoch or 0) >= leg.until


def _waits(column: FollowedColumn) -> str:
    place = f"{column.column.dataset.label} / {column.column.model.label}"
    if not column.legs:
        return f"{place}: the next batch is to be asked for"
    standing = column.search.races[-1].standings[-1]
    num_legs = len(standing.entered) * standing.rung.seeds
    which = some([leg.cell.label for leg in column.legs])
    return f"{place}: rung {standing.number} waits for {len(column.legs)} of {counted(num_legs, 'leg')}: {which}"
