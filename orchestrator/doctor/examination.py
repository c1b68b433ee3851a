"""``zetasweep doctor``: look at everything that a sweep rests on, say what is wrong, and on demand mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from orchestrator.doctor.artifacts import examine_artifacts, examine_best_weights, examine_models
from orchestrator.doctor.completion import examine_completion
from orchestrator.doctor.database import examine_schema
from orchestrator.doctor.disk import examine_disk
from orchestrator.doctor.environment import examine_access, examine_inputs, examine_path, examine_versions
from orchestrator.doctor.files import examine_storage
from orchestrator.doctor.finding import Finding, Line, refused
from orchestrator.doctor.machine import examine_gpus, examine_placement
from orchestrator.doctor.predictions import examine_predictions
from orchestrator.doctor.race import examine_race, follow_search
from orchestrator.doctor.report import Report
from orchestrator.doctor.runs import examine_runs
from orchestrator.errors import UserError
from orchestrator.experiment import Cell, Experiment
from orchestrator.plan import Layout
from orchestrator.racing import Followed
from orchestrator.records import CellRun
from orchestrator.storage import Storage
from orchestrator.terminal import new_console
from orchestrator.tracking import Ledger, Tracker, check_place


def examine(
    experiment: Experiment,
    cells: Sequence[Cell],
    storage: Storage,
    *,
    database: Path | None,
    connect: Callable[[], Tracker],
    fix: bool,
) -> int:
    """Print what is wrong with an experiment's surroundings, runs and checkpoints; return the number of faults left.

    Args:
        experiment: What is to run.
        cells: Its cells.
        storage: Its folder of results.
        database: The file of its MLflow store; None if that is no SQLite database.
        connect: Opens that store; called only if it is there.
        fix: Whether to mend what can be mended.

    Raises:
        UserError: `fix`, and a sweep is at work on `storage`.
    """
    report = Report(new_console(), fix=fix)
    holder = storage.noted_holder()
    with storage.locked("doctor --fix") if fix and storage.is_there else nullcontext():
        at_work = not fix and storage.is_locked()
        placed = _examine_environment(experiment, storage, report)
        tracker = _open_store(database, storage, connect, report)
        runs = tracker.cell_runs(cells) if tracker else {}
        followed = _follow(experiment, storage, tracker, report)
        if followed is not None:
            runs |= {cell.key: followed[1][cell.key] for cell in cells if cell.key in followed[1]}
        report.take(examine_disk(experiment, cells, runs, placed))
        labels = {cell.key: cell.label for cell in cells}
        if tracker:
            ledger = Ledger(tracker.store, say=lambda line: report.take([line]))
            report.take(examine_runs(ledger, labels, at_work=at_work))
            report.take(examine_artifacts(tracker, ledger, cells, runs))
            if followed is not None:
                report.take(examine_race(*followed, at_work=at_work or bool(ledger.owners_at_work)))
        if at_work:
            report.take([f"storage: a sweep is at work, its files are not looked at: {holder}"])
        else:
            if holder:
                report.take([_dead_holder(holder, storage)])
            # Read anew: what was deleted above is not finished any more.
            now = Ledger(tracker.store, say=lambda line: report.take([line])) if tracker else None
            tracked, finished = (now.keys, now.finished) if now else (frozenset(), frozenset())
            here = storage.stores() == [tracker.store.shown_uri] if tracker else False
            by_key = {cell.key: cell for cell in cells}
            report.take(examine_storage(storage, by_key, tracked=tracked, finished=finished, only_store=here))
            if tracker:
                runs = tracker.cell_runs(cells)
                report.take(examine_completion(tracker, cells, fix=fix))
                report.take(examine_best_weights(storage, cells, runs))
                report.take(examine_models(tracker, experiment.tracking.models, storage, cells, runs))
                report.take(examine_predictions(tracker, experiment, storage, cells, runs, fix=fix))
    report.close()
    return report.left


def _examine_environment(experiment: Experiment, storage: Storage, report: Report) -> Layout | None:
    report.take(examine_versions())
    report.take(examine_path())
    report.take(examine_gpus(experiment.resources))
    placed, lines = examine_placement(experiment, storage)
    report.take(lines)
    report.take(examine_access(storage))
    report.take(examine_inputs(experiment))
    return placed


def _dead_holder(holder: str, storage: Storage) -> Finding:
    return Finding(
        what="left by a process that was killed",
        where=f"{storage.shown(storage.holder)}: {holder}",
        remedy="--fix removes it",
        # Who mends has written it anew, and removes it when the lock is released: nobody may miss it before.
        mend=lambda: None,
    )


def _follow(
    experiment: Experiment, storage: Storage, tracker: Tracker | None, report: Report
) -> tuple[Followed, dict[str, CellRun]] | None:
    """Return how far the search is, with the runs as it sees them; None without one, and if it cannot be followed."""
    if tracker is None:
        return None
    try:
        followed, runs = follow_search(experiment, storage, tracker)
    except UserError as error:
        report.take([refused(error)])
        return None
    return None if followed is None else (followed, runs)


def _open_store(
    database: Path | None, storage: Storage, connect: Callable[[], Tracker], report: Report
) -> Tracker | None:
    """Return the MLflow store, brought to the right schema if need be; None if it cannot be used, or is not there."""
    if database is not None:
        left = report.left
        report.take(examine_schema(database))
        if report.left > left:
            return None
        if not database.exists():
            report.take(_not_there(database, storage))
            return None
    try:
        tracker = connect()
    except UserError as error:
        report.take([Finding("MLflow cannot be used", str(error), "")])
        return None
    return tracker


def _not_there(database: Path, storage: Storage) -> Iterator[Line]:
    if database != storage.database:  # whose folder run makes, too
        check_place(database, "tracking.uri")
    yield f"MLflow: {database} is not there yet, run makes it"
