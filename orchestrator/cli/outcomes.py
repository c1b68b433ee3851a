"""What a command exits with that ran a sweep, or shows what one has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED, MEANINGS
from orchestrator.records import CellRun, Outcome

if TYPE_CHECKING:
    from orchestrator.jobs import Ended
    from orchestrator.opened import Opened

OF_OUTCOME = {Outcome.DONE: DONE, Outcome.INCOMPLETE: INCOMPLETE, Outcome.INTERRUPTED: INTERRUPTED}


def exit_code(opened: Opened, runs: Mapping[str, CellRun]) -> int:
    """Return what a command that shows results exits with: 1 unless all cells are done."""
    return DONE if opened.is_done(runs) else INCOMPLETE


def of_job(ended: Ended) -> int:
    """Return what a command exits with that has followed a job: what the job's own command did, if that is known."""
    if ended.status == "STOPPED":
        return INTERRUPTED
    return ended.exit_code if ended.exit_code in MEANINGS else INCOMPLETE
