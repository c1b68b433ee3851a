"""How the tests call the command line; the fixtures are in ``conftest.py``."""

from __future__ import annotations

import subprocess
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
