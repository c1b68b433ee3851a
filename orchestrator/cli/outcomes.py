"""What a command exits with that ran a sweep, or shows what one has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED
from orchestrator.records import CellRun, Outcome

if TYPE_CHECKING:
    from orchestrator.opened import Opened

OF_OUTCOME = {Outcome.DONE: DONE, Outcome.INCOMPLETE: INCOMPLETE, Outcome.INTERRUPTED: INTERRUPTED}


def exit_code(opened: Opened, runs: Mapping[str, CellRun]) -> int:
    """Return what a command that shows results exits with: 1 unless all cells are done."""
    return DONE if opened.is_done(runs) else INCOMPLETE
