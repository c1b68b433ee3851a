"""What is told of a cell, on disk until MLflow has it: one line of JSON each, in the order in which it was told."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FILE = "delivery.jsonl"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """One thing told.

    Attributes:
        kind: What it is.
        body: The time of a start, the facts that the workers tell with it, the fields of an ``EpochResult`` or a
            ``CellResult``, or ``{"reason": ...}``.
    """

    kind: Literal["start", "facts", "epoch", "done", "failed", "interrupted"]
    body: dict[str, Any] = field(default_factory=dict)


def begin(folder: Path) -> None:
    """Start anew: a training that goes on tells everything from the start."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(b"")
    except OSError:
        _give_up(folder)


def append(folder: Path, told: Told) -> None:
    """Add a line. Where it does not fit, all are forgotten: ``zetasweep run`` tells everything from the checkpoint."""
    path = folder / FILE
    if not path.exists():
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": told.kind, "body": told.body}) + "\n")
    except OSError:
        _give_up(folder)


def read(folder: Path) -> list[Told]:
    """Return what was told; nothing if there is no file. A line that a killed writer left unfinished is left out."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Told(**json.loads(line)))
        except ValueError:
            logger.warning("%s: an unfinished line is left out", folder / FILE)
    return found


def remove(folder: Path) -> None:
    """Forget it: MLflow has it."""
    (folder / FILE).unlink(missing_ok=True)


def _give_up(folder: Path) -> None:
    """Rather nothing than a part: what is delivered later must not have gaps."""
    logger.exception("%s: not written", folder / FILE)
    with suppress(OSError):
        remove(folder)
