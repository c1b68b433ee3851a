"""Whether what MLflow says that finished cells have is really there: their files, their models, their best weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from orchestrator.amounts import counted, some
from orchestrator.doctor.files import damage_of
from orchestrator.doctor.finding import Finding, Line
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Models
from orchestrator.records import CellRun
from orchestrator.results import models_to_export
from orchestrator.storage import BEST, CellFolder, Storage
from orchestrator.tracking import Ledger, Tracker, UntellableError, missing_of_model, missing_of_run, restore_best

LOST = (
    "bring them back: is the disk mounted, were they written on another machine?\nor delete the runs (mlflow runs "
    "delete --run-id ID), and zetasweep run trains the cells again"
)

ELSEWHERE = (
    "none is needed if they were trained with another storage: compare and report have what MLflow has\nelse bring the "
    "folders back: is the disk mounted? What needs weights (select, predict, a model in MLflow) does without these"
)


def examine_artifacts(
    tracker: Tracker, ledger: Ledger, cells: Sequence[Cell], runs: Mapping[str, CellRun]
) -> Iterator[Line]:
    """Find finished cells whose files or model are not where MLflow says.

    Args:
        tracker: Of the store.
        ledger: Of the store, too.
        cells: All.
        runs: Those that are known of them, by key.

    Raises:
        TrackingError: MLflow, or what keeps its artifacts, does not answer.
    """
    place_of = {entry.run_id: entry.artifacts for entry in ledger.entries}
    done = [(cell, runs[cell.key]) for cell in cells if cell.key in runs and runs[cell.key].status == "done"]
    finished = {run.run_id: (cell, run) for cell, run in done if run.run_id is not None}
    for place, count in Counter(place_of[run_id] for run_id in finished if run_id in place_of).items():
        told = f"{place}: of {counted(count, 'finished cell')}"
        if place.startswith("/") and not Path(place).is_dir():
            yield Finding("a folder of artifacts that is not there", told, LOST)
            continue
        yield f"artifacts: {told}"
        for run_id in [run_id for run_id in finished if place_of.get(run_id) == place]:
            cell, run = finished[run_id]
            yield from _examine_run(tracker, run_id, run.model_uri, cell, place)


def _examine_run(tracker: Tracker, run_id: str, model_uri: str | None, cell: Cell, place: str) -> Iterator[Line]:
    missing = missing_of_run(tracker.store, run_id)
    missing += missing_of_model(tracker.store, model_uri) if model_uri else []
    if missing:
        where = f"{place}: {', '.join(missing)} of run {run_id} (cell {cell.key}, {cell.label})"
        yield Finding("artifacts that are not there", where, LOST)


def examine_models(
    tracker: Tracker, models: Models, storage: Storage, cells: Sequence[Cell], runs: Mapping[str, CellRun]
) -> Iterator[Line]:
    """Find finished cells of which MLflow should have the model and has none; most have none by design. No fault.

    Args:
        tracker: Of the store.
        models: What ``tracking.models`` says.
        storage: Where the best weights are.
        cells: All.
        runs: Those that are known of them, by key.
    """
    lacking = models_to_export(cells, runs, models)
    count = sum(run.model_uri is not None for run in runs.values())
    yield f"models: MLflow has {count}, tracking.models = {models}"
    for cell in lacking:
        run_id, folder = runs[cell.key].run_id, storage.cell(cell.key)
        if run_id is None:
            continue
        if not folder.has(BEST):
            yield Finding(
                what="a model that MLflow does not have and cannot get: its weights are not here",
                where=f"of cell {cell.key} ({cell.label}), {folder.shown(BEST)}",
                remedy=ELSEWHERE,
                severity="note",
            )
        else:
            yield Finding(
                what="a model that MLflow does not have yet",
                where=f"of cell {cell.key} ({cell.label})",
                remedy="the next run exports it, and so does --fix",
                severity="note",
                mend=partial(_export, tracker, cell, run_id, folder),
            )


def _export(tracker: Tracker, cell: Cell, run_id: str, folder: CellFolder) -> None:
    try:
        tracker.export_model(cell, run_id, folder)
    except UntellableError as error:
        raise UserError(str(error)) from error


def examine_best_weights(storage: Storage, cells: Sequence[Cell], runs: Mapping[str, CellRun]) -> Iterator[Line]:
    """Find finished cells whose folder has lost what it keeps, or has it damaged; no sweep may be at work.

    Without its whole folder a cell may have been trained with another storage, which is no fault.
    """
    elsewhere = []
    for cell in cells:
        run, folder = runs.get(cell.key), storage.cell(cell.key)
        if run is None or run.status != "done":
            continue
        if not folder.exists:
            elsewhere.append(f"{cell.key} ({cell.label})")
            continue
        what, where = "a finished cell without its best weights", folder.shown(BEST)
        if folder.has(BEST):
            what, where = "a finished cell with damaged best weights", damage_of(folder, folder.best)
        if not where:
            continue
        where += f" (cell {cell.key}, {cell.label})"
        if run.model_uri is None:
            yield Finding(what, f"{where}, run {run.run_id}", f"MLflow has no model of it: {LOST}")
            continue
        yield Finding(
            what=what,
            where=where,
            remedy="--fix writes them anew from the model in MLflow",
            mend=partial(restore_best, run.model_uri, folder, epoch=int(run.metrics.get("best/epoch", 0))),
        )
    if elsewhere:
        where = f"{storage.shown(storage.cells_dir)}: {len(elsewhere):,} of {len(cells):,}: {some(elsewhere)}"
        yield Finding("finished cells without a folder here", where, ELSEWHERE, severity="note")
