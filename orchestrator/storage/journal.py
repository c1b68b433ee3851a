"""A cell's journal: the events that MLflow may not have yet, one line of JSON each, in the order in which they came.

It is found by the cell's folder, or by the path of one that is no copy.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.records import (
    CellFacts,
    CellResult,
    DatasetFacts,
    EpochResult,
    Failed,
    Interrupted,
    Opened,
    Paused,
    Started,
    Stopped,
    TrackedEvent,
)
from orchestrator.storage.cell_folder import JOURNAL, CellFolder

# What a line calls an event; storages of earlier versions have these names, too.
_KINDS: dict[str, type[TrackedEvent]] = {
    "start": Opened,
    "facts": Started,
    "epoch": EpochResult,
    "done": CellResult,
    "paused": Paused,
    "stopped": Stopped,
    "failed": Failed,
    "interrupted": Interrupted,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}

logger = logging.getLogger(__name__)


def begin(folder: CellFolder | Path) -> None:
    """Start anew: a training that goes on reports everything from its first epoch."""
    cell = _cell(folder)
    try:
        cell.path.mkdir(parents=True, exist_ok=True)
        file = cell.path / JOURNAL
        file.write_bytes(b"")
        cell.keep_soon(file)
    except OSError:
        _give_up(cell)


def append(folder: CellFolder | Path, event: TrackedEvent) -> None:
    """Add a line to what this process has begun or read; nothing is asked of a bucket, so that nobody waits for it.

    Where it does not fit, all are forgotten: ``zetasweep run`` tells everything from the checkpoint.
    """
    cell = _cell(folder)
    try:
        file = cell.path / JOURNAL
        if not file.exists():
            return
        with file.open("a", encoding="utf-8") as opened:
            opened.write(_encoded(event) + "\n")
        cell.keep_soon(file)
    except OSError:
        _give_up(cell)


def read(folder: CellFolder | Path) -> list[TrackedEvent]:
    """Return the events; none if there is no file. A last line that a killed writer left unfinished is left out.

    What cannot be understood, e.g. of a later version, is no journal: rather nothing than a part.
    """
    cell = _cell(folder)
    file, shown = cell.journal, cell.shown(JOURNAL)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(_decoded(line))
        except json.JSONDecodeError:
            if number < len(lines):
                logger.warning("%s: line %d is damaged, none is used", shown, number)
                return []
            logger.warning("%s: an unfinished line is left out", shown)
        except (KeyError, TypeError, ValueError):
            logger.warning("%s: line %d is no event that this version knows, none is used", shown, number)
            return []
    return events


def remove(folder: CellFolder | Path) -> None:
    """Forget it: MLflow has it. What was begun anew meanwhile waits for no bucket."""
    cell = _cell(folder)
    cell.remove_soon(cell.path / JOURNAL)


def _cell(folder: CellFolder | Path) -> CellFolder:
    return folder if isinstance(folder, CellFolder) else CellFolder(folder)


def _encoded(event: TrackedEvent) -> str:
    body = asdict(event.facts if isinstance(event, Started) else event)
    if isinstance(event, Failed) and not event.is_lost:
        del body["is_lost"]  # earlier versions do not know it
    return json.dumps({"kind": _NAMES[type(event)], "body": body})


def _decoded(line: str) -> TrackedEvent:
    """Return the event of a line.

    Raises:
        ValueError, KeyError, TypeError: It is none.
    """
    entry: dict[str, Any] = json.loads(line)
    kind, body = _KINDS[entry["kind"]], entry["body"]
    if kind is not Started:
        return kind(**body)
    # JSON has lists alone.
    dataset: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in body["dataset"].items()
    }
    return Started(CellFacts(**body | {"dataset": DatasetFacts(**dataset)}))


def _give_up(folder: CellFolder) -> None:
    """Rather nothing than a part: what is delivered later must not have gaps."""
    logger.exception("%s: not written", folder.shown(JOURNAL))
    with suppress(OSError):
        remove(folder)
