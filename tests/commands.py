"""How the tests call the command line; the fixtures are in ``conftest.py``."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

# As a process of its own.
Zetasweep = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Answer:
    """What a call in this process gave."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


def until(holds: Callable[[], bool], *, timeout_s: float = 60) -> None:
    """Wait for something to happen."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s} s"
        time.sleep(0.01)
