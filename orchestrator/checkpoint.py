"""Checkpoints of one cell: written whole or not at all, read without executing anything that is in them.

A cell's folder holds ``last.pt`` (everything a resumed training needs) and ``best.pt`` (the weights that were best on
validation, and their epoch).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import torch

LAST = "last.pt"
BEST = "best.pt"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` so that a reader sees the old file or the new one, never a part.

    A process that is killed while it writes leaves a hidden ``.tmp`` file, which nothing reads.

    Args:
        path: The file; its folder is made if need be.
        state: Tensors and plain Python values only, as ``torch.load(weights_only=True)`` accepts.

    Raises:
        OSError: The disk is full or not writable; the file that was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: a process that a cluster took for dead may still be writing to the same folder.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any] | None:
    """Return what `save` wrote to `path`, or None if there is no such file."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
