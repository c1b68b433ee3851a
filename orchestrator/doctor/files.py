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
from orchestrator.storage import RESULT, CellFolder, Predictions, Storage, below, journal
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.atomic import QUIET_S, is_abandoned, remove_whole
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
    for path in storage.abandoned():
        yield _killed(path)
    with storage.glance():
        for key in storage.cell_keys():
            folder = storage.cell(key)
            if tracked and key not in tracked | cells.keys():
                yield _orphaned(folder, storage, only_store=only_store)
            else:
                needless = folder.needless() if key in finished else []
                cell = cells.get(key)
                yield from _examine_cell(folder, cell, needless=needless, storage=storage, only_store=only_store)
                # The best weights of a finished cell may be the only ones: those are looked at with its run.
                if key not in finished:
                    yield from _examine_checkpoints(folder, cell, with_best=bool(tracked) and only_store)


def _examine_cell(
    folder: CellFolder, cell: Cell | None, *, needless: list[Path], storage: Storage, only_store: bool
) -> Iterator[Line]:
    label = _label(folder, cell)
    for path in _abandoned_in(folder.path):
        yield _killed(path)
    if not only_store and not set(needless).isdisjoint(folder.undelivered):
        yield Finding(
            what="results of a finished cell that may wait for another MLflow store",
            where=f"{storage.shown(folder.path)} ({label}): {', '.join(path.name for path in needless)}",
            remedy=f"zetasweep sync with the tracking.uri of each of {', '.join(storage.stores())}",
            severity="note",
        )
    elif needless:
        yield Finding(
            what="a finished cell that keeps more than best weights and predictions",
            where=f"{storage.shown(folder.path)} ({label}): {', '.join(path.name for path in needless)}, "
            + _size(folder, needless),
            remedy="--fix removes what MLflow has",
            mend=folder.shrink,
        )
    elif folder.undelivered:
        yield from _examine_waiting(folder, cell, label)
    yield from _examine_predictions(folder, label)


def _examine_checkpoints(folder: CellFolder, cell: Cell | None, *, with_best: bool) -> Iterator[Line]:
    """Find damaged checkpoints of a cell that is not finished; `with_best` if no other store can have finished it."""
    for path in folder.checkpoints():
        if (with_best or path != folder.best) and (damage := damage_of(folder, path)):
            yield Finding(
                what="a damaged checkpoint",
                where=f"{damage} ({_label(folder, cell)})",
                remedy="--fix removes it: the training goes on from the one before",
                mend=partial(folder.remove, path),
            )


def _examine_predictions(folder: CellFolder, label: str) -> Iterator[Line]:
    try:
        Predictions.load(folder.predictions)
    except checkpoint.DamagedError as error:
        remedy = "--fix removes them, and takes those of a finished cell from MLflow or computes them anew"
        mend = partial(folder.remove, folder.predictions)
        yield Finding("damaged predictions", f"{folder.in_words(error)} ({label})", remedy, mend=mend)
    except UserError as error:
        told = f"{folder.in_words(error.args[0])} ({label})"
        yield Finding("predictions of a later version", told, error.remedy, severity="note")


def _examine_waiting(folder: CellFolder, cell: Cell | None, label: str) -> Iterator[Line]:
    """Find results that MLflow does not have yet, and whether it can be given them."""
    events = journal.read(folder)
    finished = folder.has(RESULT) or any(isinstance(event, CellResult) for event in events)
    try:
        if finished and cell is not None:
            check_tellable(cell, events, folder)
    except UntellableError as error:
        yield Finding("results that cannot be told to MLflow", f"{label}: {error.args[0]}", error.remedy)
        return
    if events:
        yield Finding(
            what="results that MLflow does not have yet",
            where=f"{folder.shown('delivery.jsonl')} ({label})",
            remedy="zetasweep sync delivers them, and so does zetasweep run",
            severity="note",
        )


def _orphaned(cell: CellFolder, storage: Storage, *, only_store: bool) -> Finding:
    what = "checkpoints of a cell that neither MLflow nor the experiment knows"
    where = f"{storage.shown(cell.path)}: {_size(cell, [cell.path / name for name in cell.names()])}"
    if foreign := [path.name for path in cell.foreign()]:
        return Finding(what, where, f"it holds {', '.join(foreign)}, which zetasweep did not write: see for yourself")
    if cell.undelivered:
        return Finding(
            what, where, "its results wait for MLflow: zetasweep sync with its own experiment", severity="note"
        )
    if cell.is_young:
        return Finding(
            what, where, f"written to within the last {QUIET_S // 60} minutes: perhaps it is trained", severity="note"
        )
    if not only_store:
        others = ", ".join(storage.stores()) or "none is on record"
        return Finding(what, where, f"another MLflow store may know it ({others}): see for yourself", severity="note")
    return Finding(what, where, "--fix removes it", mend=cell.remove_whole)


def _killed(path: Path) -> Finding:
    return Finding(
        what="left by a process that was killed",
        where=f"{path}: {bytes_text(CellFolder(path.parent).size_of(path))}",
        remedy="--fix removes it",
        mend=partial(remove_whole, path),
    )


def _abandoned_in(folder: Path) -> list[Path]:
    return [path for path in below(folder) if is_abandoned(path)]


def _label(folder: CellFolder, cell: Cell | None) -> str:
    return f"cell {folder.key}, {cell.label}" if cell else f"cell {folder.key}"


def damage_of(folder: CellFolder, path: Path) -> str:
    """Return what is wrong with a checkpoint; nothing if every byte is the one that was written."""
    try:
        with waiting_for(f"the checksums of {folder.shown(path.name)}"):
            checkpoint.load(path)
    except checkpoint.DamagedError as error:
        return folder.in_words(error)
    return ""


def _size(folder: CellFolder, paths: Iterable[Path]) -> str:
    return bytes_text(sum(map(folder.size_of, paths)))
