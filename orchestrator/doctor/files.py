"""What is in the folder of results that should not be: left by killed processes, of cells nobody knows, or damaged.

Only what zetasweep itself writes is ever removed; a folder that holds anything else is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path

from orchestrator.amounts import bytes_text
from orchestrator.doctor.finding import Finding, Line
from orchestrator.errors import UserError
from orchestrator.experiment import Cell
from orchestrator.records import CellResult
from orchestrator.storage import CellFolder, Predictions, Storage, below, is_key, journal
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.atomic import QUIET_S, is_abandoned, is_young, remove_whole
from orchestrator.tracking import UntellableError, check_tellable
from orchestrator.waiting import waiting_for


def examine_storage(
    storage: Storage, cells: Mapping[str, Cell], *, tracked: Set[str], finished: Set[str], only_store: bool
) -> Iterator[Line]:
    """Find what nobody needs any more, and damaged checkpoints; no sweep may be at work.

    Args:
        storage: Where.
        cells: Those of the experiment, by key.
        tracked: The keys of all cells that have a run. If there is none, no checkpoint counts as orphaned: MLflow
            cannot be read, or the store is new, or another one.
        finished: The keys of the cells whose run is finished.
        only_store: Whether no other MLflow store can know cells of the folder.
    """
    left = (*_abandoned_in(storage.cells_dir), *_abandoned_in(storage.reports_dir))
    for path in (*storage.scratch_folders(), *left):
        yield _killed(path)
    for path in below(storage.cells_dir):
        if is_key(path.name) and path.is_dir():
            folder = CellFolder(path)
            if tracked and folder.key not in tracked | cells.keys():
                yield _orphaned(folder, storage, only_store=only_store)
            else:
                needless = folder.needless() if folder.key in finished else []
                cell = cells.get(folder.key)
                yield from _examine_cell(folder, cell, needless=needless, storage=storage, only_store=only_store)


def _examine_cell(
    folder: CellFolder, cell: Cell | None, *, needless: list[Path], storage: Storage, only_store: bool
) -> Iterator[Line]:
    label = f"cell {folder.key}, {cell.label}" if cell else f"cell {folder.key}"
    for path in _abandoned_in(folder.path):
        yield _killed(path)
    if not only_store and not set(needless).isdisjoint(folder.undelivered):
        yield Finding(
            what="results of a finished cell that may wait for another MLflow store",
            where=f"{folder.path} ({label}): {', '.join(path.name for path in needless)}",
            remedy=f"zetasweep sync with the tracking.uri of each of {', '.join(storage.stores())}",
            severity="note",
        )
    elif needless:
        yield Finding(
            what="a finished cell that keeps more than best weights and predictions",
            where=f"{folder.path} ({label}): {', '.join(path.name for path in needless)}, {_size(needless)}",
            remedy="--fix removes what MLflow has",
            mend=folder.shrink,
        )
    elif folder.undelivered:
        yield from _examine_waiting(folder, cell, label)
    for path in folder.checkpoints():
        if path not in needless and (damage := _damage(path)):
            yield Finding(
                what="a damaged checkpoint",
                where=f"{damage} ({label})",
                remedy="--fix removes it: a training goes on from the one before, a finished cell's model is in MLflow",
                mend=path.unlink,
            )
    yield from _examine_predictions(folder, label)


def _examine_predictions(folder: CellFolder, label: str) -> Iterator[Line]:
    try:
        Predictions.load(folder.predictions)
    except checkpoint.DamagedError as error:
        remedy = "--fix removes them, and takes those of a finished cell from MLflow or computes them anew"
        yield Finding("damaged predictions", f"{error} ({label})", remedy, mend=folder.predictions.unlink)
    except UserError as error:
        yield Finding("predictions of a later version", f"{error.args[0]} ({label})", error.remedy, severity="note")


def _examine_waiting(folder: CellFolder, cell: Cell | None, label: str) -> Iterator[Line]:
    """Find results that MLflow does not have yet, and whether it can be given them."""
    events = journal.read(folder.path)
    finished = folder.result.exists() or any(isinstance(event, CellResult) for event in events)
    try:
        if finished and cell is not None:
            check_tellable(cell, events, folder)
    except UntellableError as error:
        yield Finding("results that cannot be told to MLflow", f"{label}: {error.args[0]}", error.remedy)
        return
    if events:
        yield Finding(
            what="results that MLflow does not have yet",
            where=f"{folder.journal} ({label})",
            remedy="zetasweep sync delivers them, and so does zetasweep run",
            severity="note",
        )


def _orphaned(cell: CellFolder, storage: Storage, *, only_store: bool) -> Finding:
    what = "checkpoints of a cell that neither MLflow nor the experiment knows"
    where = f"{cell.path}: {_size(below(cell.path))}"
    if foreign := [path.name for path in cell.foreign()]:
        return Finding(what, where, f"it holds {', '.join(foreign)}, which zetasweep did not write: see for yourself")
    if cell.undelivered:
        return Finding(
            what, where, "its results wait for MLflow: zetasweep sync with its own experiment", severity="note"
        )
    if is_young(cell.path):
        return Finding(
            what, where, f"written to within the last {QUIET_S // 60} minutes: perhaps it is trained", severity="note"
        )
    if not only_store:
        others = ", ".join(storage.stores()) or "none is on record"
        return Finding(what, where, f"another MLflow store may know it ({others}): see for yourself", severity="note")
    return Finding(what, where, "--fix removes it", mend=partial(remove_whole, cell.path))


def _killed(path: Path) -> Finding:
    return Finding(
        what="left by a process that was killed",
        where=f"{path}: {_size([path])}",
        remedy="--fix removes it",
        mend=partial(remove_whole, path),
    )


def _abandoned_in(folder: Path) -> list[Path]:
    return [path for path in below(folder) if is_abandoned(path)]


def _damage(path: Path) -> str:
    """Return what is wrong with a checkpoint; nothing if every byte is the one that was written."""
    try:
        with waiting_for(f"the checksums of {path}"):
            checkpoint.load(path)
    except checkpoint.DamagedError as error:
        return str(error)
    return ""


def _size(paths: Iterable[Path]) -> str:
    files = [entry for path in paths for entry in (path, *path.rglob("*")) if entry.is_file()]
    return bytes_text(sum(entry.stat().st_size for entry in files))
