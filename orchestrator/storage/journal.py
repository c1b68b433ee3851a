"""A cell's journal: the events that MLflow may not have yet, one line of JSON each, in the order in which they came."""

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
from orchestrator.storage.cell_folder import CellFolder

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


def begin(folder: Path) -> None:
    """Start anew: a training that goes on reports everything from its first epoch."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _file(folder).write_bytes(b"")
    except OSError:
        _give_up(folder)


def append(folder: Path, event: TrackedEvent) -> None:
    """Add a line. Where it does not fit, all are forgotten: ``zetasweep run`` tells everything from the checkpoint."""
    if not _file(folder).exists():
        return
    try:
        with _file(folder).open("a", encoding="utf-8") as file:
            file.write(_encoded(event) + "\n")
    except OSError:
        _give_up(folder)


def read(folder: Path) -> list[TrackedEvent]:
    """Return the events; none if there is no file. A last line that a killed writer left unfinished is left out.

    What cannot be understood, e.g. of a later version, is no journal: rather nothing than a part.
    """
    try:
        lines = _file(folder).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(_decoded(line))
        except json.JSONDecodeError:
            if number < len(lines):
                logger.warning("%s: line %d is damaged, none is used", _file(folder), number)
                return []
            logger.warning("%s: an unfinished line is left out", _file(folder))
        except (KeyError, TypeError, ValueError):
            logger.warning("%s: line %d is no event that this version knows, none is used", _file(folder), number)
            return []
    return events


def remove(folder: Path) -> None:
    """Forget it: MLflow has it."""
    _file(folder).unlink(missing_ok=True)


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


def _file(folder: Path) -> Path:
    return CellFolder(folder).journal


def _give_up(folder: Path) -> None:
    """Rather nothing than a part: what is delivered later must not have gaps."""
    logger.exception("%s: not written", _file(folder))
    with suppress(OSError):
        remove(folder)
