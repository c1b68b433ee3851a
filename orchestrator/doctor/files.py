"""What is in the folder of results that should not be: left by killed processes, of cells nobody knows, or damaged.

Only what zetasweep itself writes is ever removed; a folder that holds anything else is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path

from orchestrator.amounts import bytes_text
from orchestrator.doctor.finding import Finding, Line
from orchestrator.storage import CellFolder, Storage, below, is_key, journal
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.atomic import QUIET_S, is_abandoned, is_young, remove_whole


def examine_storage(
    storage: Storage, labels: Mapping[str, str], *, tracked: Set[str], finished: Set[str], only_store: bool
) -> Iterator[Line]:
    """Find what nobody needs any more, and damaged checkpoints; no sweep may be at work.

    Args:
        storage: Where.
        labels: What the cells of the experiment are called, by key.
        tracked: The keys of all cells that have a run. If there is none, no checkpoint counts as orphaned: MLflow
            cannot be read, or the store is new, or another one.
        finished: The keys of the cells whose run is finished.
        only_store: Whether no other MLflow store can know cells of the folder.
    """
    for path in (*storage.scratch_folders(), *_abandoned_in(storage.cells_dir)):
        yield _killed(path)
    for path in below(storage.cells_dir):
        if is_key(path.name) and path.is_dir():
            cell = CellFolder(path)
            if tracked and cell.key not in tracked | labels.keys():
                yield _orphaned(cell, storage, only_store=only_store)
            else:
                label = f"cell {cell.key}, {labels[cell.key]}" if cell.key in labels else f"cell {cell.key}"
                needless = cell.needless() if cell.key in finished else []
                yield from _examine_cell(cell, label, needless=needless, storage=storage, only_store=only_store)


def _examine_cell(
    cell: CellFolder, label: str, *, needless: list[Path], storage: Storage, only_store: bool
) -> Iterator[Line]:
    for path in _abandoned_in(cell.path):
        yield _killed(path)
    if not only_store and not set(needless).isdisjoint(cell.undelivered):
        yield Finding(
            what="results of a finished cell that may wait for another MLflow store",
            where=f"{cell.path} ({label}): {', '.join(path.name for path in needless)}",
            remedy=f"zetasweep sync with the tracking.uri of each of {', '.join(storage.stores())}",
            severity="note",
        )
    elif needless:
        yield Finding(
            what="a finished cell that keeps more than its best weights",
            where=f"{cell.path} ({label}): {', '.join(path.name for path in needless)}, {_size(needless)}",
            remedy="--fix removes what MLflow has",
            mend=cell.shrink,
        )
    elif journal.read(cell.path):
        yield Finding(
            what="results that MLflow does not have yet",
            where=f"{cell.journal} ({label})",
            remedy="zetasweep sync delivers them, and so does zetasweep run",
            severity="note",
        )
    for path in cell.checkpoints():
        if path not in needless and (damage := _damage(path)):
            yield Finding(
                what="a damaged checkpoint",
                where=f"{damage} ({label})",
                remedy="--fix removes it: a training goes on from the one before, a finished cell's model is in MLflow",
                mend=path.unlink,
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
        checkpoint.load(path)
    except checkpoint.DamagedError as error:
        return str(error)
    return ""


def _size(paths: Iterable[Path]) -> str:
    files = [entry for path in paths for entry in (path, *path.rglob("*")) if entry.is_file()]
    return bytes_text(sum(entry.stat().st_size for entry in files))
