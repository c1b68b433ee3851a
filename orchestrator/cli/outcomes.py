"""What a command exits with that ran a sweep."""

from __future__ import annotations

from orchestrator.exit_codes import DONE, INCOMPLETE, INTERRUPTED
from orchestrator.records import Outcome

OF_OUTCOME = {Outcome.DONE: DONE, Outcome.INCOMPLETE: INCOMPLETE, Outcome.INTERRUPTED: INTERRUPTED}
