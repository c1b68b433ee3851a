"""Errors that a user can mend; the command line prints them without a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class UserError(Exception):
    """A mistake in what the user gave; the message says what, where and how to mend it. Exit code 2."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an experiment file.

    Attributes:
        file: The experiment file, or ``-o`` for an override.
        key: The dotted key, e.g. ``augment[2].zeta_mixup.gamma``; empty for the file as a whole.
        value: The value given, as the user would write it; empty if there is none.
        allowed: What is allowed there.
        remedy: What to change.
    """

    file: str
    key: str
    value: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        given = f" = {self.value}" if self.value else ""
        where = f"{self.file}: {self.key}{given}" if self.key else f"{self.file}{given}"
        return f"{where}\n  allowed: {self.allowed}\n  remedy:  {self.remedy}"


class ConfigError(UserError):
    """An experiment file that cannot be run; carries every problem found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(UserError):
    """A data set that is missing, or a file of it that cannot be read; names the path.

    Attributes:
        details: All that is wrong, where the message names the first only: e.g. each image without a label.
    """

    def __init__(self, message: str, *, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class TrackingError(Exception):
    """MLflow refused something, or does not answer any more; names the store. Exit code 1."""


class CellError(Exception):
    """A training that failed on every rank at the same point, e.g. with a loss of NaN: the workers stay usable."""
