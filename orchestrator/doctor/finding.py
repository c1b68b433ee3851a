"""What ``zetasweep doctor`` finds, whichever part of it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import UserError

Severity = Literal["error", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        what: The same words for all of a kind.
        where: Which run, cell or path, and what is particular about this one.
        remedy: What ``--fix`` does about it, or what the user can do; empty if nothing has to be done.
        severity: A ``note`` is no fault, also where it cannot be mended.
        mend: Mends it; it may raise TrackingError, UserError or OSError, and then nothing is changed. None if only
            the user can.
    """

    what: str
    where: str
    remedy: str
    severity: Severity = "error"
    mend: Callable[[], None] | None = None


# What is as it should be is one line of text.
Line = str | Finding


def refused(error: UserError) -> Finding:
    """Return a finding in the words of the command that would refuse to start."""
    return Finding("zetasweep run would refuse to start", str(error), "")
