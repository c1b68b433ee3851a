"""What is in the folder of results that should not be: left by killed processes, of cells nobody knows, or damaged.

Only what zetasweep itself writes is ever removed; a folder that holds anything else is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path

import psutil

from orchestrator.amounts import bytes_text
from orchestrator.doctor.finding import Finding, Line
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage import journal
from orchestrator.storage.cell_folder import AUDIT, CellFolder
from orchestrator.storage.folder import Storage

# A training by torchrun holds no lock: what was written this recently may be its own.
QUIET_S = 3600
# What zetasweep wrote before it kept more than one checkpoint.
EARLIER = "last.pt"
# What is there until MLflow has it.
WAITING = (checkpoint.RESULT, "delivery.jsonl")
_KEY = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp")


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
    for path in storage.scratch_folders():
        yield _killed(path)
    for path in _below(storage.cells_dir):
        if _is_abandoned(path):
            yield _killed(path)
        elif _KEY.fullmatch(path.name) and path.is_dir():
            if tracked and path.name not in tracked | labels.keys():
                yield _orphaned(path, storage, only_store=only_store)
            else:
                label = f"cell {path.name}, {labels[path.name]}" if path.name in labels else f"cell {path.name}"
                needless = _needless(path) if path.name in finished else []
                yield from _examine_cell(path, label, needless=needless, storage=storage, only_store=only_store)


def _examine_cell(
    folder: Path, label: str, *, needless: list[Path], storage: Storage, only_store: bool
) -> Iterator[Line]:
    for path in filter(_is_abandoned, _below(folder)):
        yield _killed(path)
    if not only_store and any(path.name in WAITING for path in needless):
        yield Finding(
            what="results of a finished cell that may wait for another MLflow store",
            where=f"{folder} ({label}): {', '.join(path.name for path in needless)}",
            remedy=f"zetasweep sync with the tracking.uri of each of {', '.join(storage.stores())}",
            severity="note",
        )
    elif needless:
        yield Finding(
            what="a finished cell that keeps more than its best weights",
            where=f"{folder} ({label}): {', '.join(path.name for path in needless)}, {_size(needless)}",
            remedy="--fix removes what MLflow has",
            mend=partial(_shrink, storage, folder),
        )
    elif journal.read(folder):
        yield Finding(
            what="results that MLflow does not have yet",
            where=f"{CellFolder(folder).journal} ({label})",
            remedy="zetasweep sync delivers them, and so does zetasweep run",
            severity="note",
        )
    points = [point.file_name for point in checkpoint.Checkpoints(folder).points()]
    for path in (folder / name for name in (checkpoint.BEST, checkpoint.RESULT, *points)):
        if path not in needless and (damage := _damage(path)):
            yield Finding(
                what="a damaged checkpoint",
                where=f"{damage} ({label})",
                remedy="--fix removes it: a training goes on from the one before, a finished cell's model is in MLflow",
                mend=path.unlink,
            )


def _shrink(storage: Storage, folder: Path) -> None:
    storage.shrink(folder.name)


def _orphaned(folder: Path, storage: Storage, *, only_store: bool) -> Finding:
    what = "checkpoints of a cell that neither MLflow nor the experiment knows"
    paths = list(_below(folder))
    where = f"{folder}: {_size(paths)}"
    ours = {path.name for path in _needless(folder)} | {checkpoint.BEST, EARLIER}
    foreign = [path.name for path in paths if path.name not in ours and not _TEMPORARY.fullmatch(path.name)]
    if foreign:
        return Finding(what, where, f"it holds {', '.join(foreign)}, which zetasweep did not write: see for yourself")
    if any((folder / name).exists() for name in WAITING):
        return Finding(
            what, where, "its results wait for MLflow: zetasweep sync with its own experiment", severity="note"
        )
    if _is_young(folder):
        return Finding(
            what, where, f"written to within the last {QUIET_S // 60} minutes: perhaps it is trained", severity="note"
        )
    if not only_store:
        others = ", ".join(storage.stores()) or "none is on record"
        return Finding(what, where, f"another MLflow store may know it ({others}): see for yourself", severity="note")
    return Finding(what, where, "--fix removes it", mend=_removing(folder))


def _killed(path: Path) -> Finding:
    return Finding(
        what="left by a process that was killed",
        where=f"{path}: {_size([path])}",
        remedy="--fix removes it",
        mend=_removing(path),
    )


def _removing(path: Path) -> Callable[[], None]:
    return partial(_remove, path)


def _remove(path: Path) -> None:
    """Remove a file, or a folder as a whole: it has another name before its first file is gone."""
    if not path.is_dir():
        path.unlink()
        return
    doomed = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    path.rename(doomed)
    shutil.rmtree(doomed)


def _damage(path: Path) -> str:
    """Return what is wrong with a checkpoint; nothing if every byte is the one that was written."""
    try:
        checkpoint.load(path)
    except checkpoint.DamagedError as error:
        return str(error)
    return ""


def _is_abandoned(path: Path) -> bool:
    """Return whether `path` is what a writer that is gone left of a file that it did not finish."""
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return False
    is_of_here = path.name.endswith(f".{socket.gethostname()}.{found[1]}.tmp")
    return (is_of_here and not psutil.pid_exists(int(found[1]))) or not _is_young(path)


def _is_young(path: Path) -> bool:
    newest = max(entry.stat().st_mtime for entry in (path, *path.rglob("*")))
    return time.time() - newest < QUIET_S


def _needless(folder: Path) -> list[Path]:
    """Return what a cell's folder holds beside the best weights."""
    names = {point.file_name for point in checkpoint.Checkpoints(folder).points()} | {*WAITING, AUDIT}
    return [path for path in _below(folder) if path.name in names]


def _below(folder: Path) -> list[Path]:
    """Return what is in a folder, without links, which lead elsewhere."""
    return sorted(path for path in folder.iterdir() if not path.is_symlink()) if folder.is_dir() else []


def _size(paths: list[Path]) -> str:
    files = [entry for path in paths for entry in (path, *path.rglob("*")) if entry.is_file()]
    return bytes_text(sum(entry.stat().st_size for entry in files))
