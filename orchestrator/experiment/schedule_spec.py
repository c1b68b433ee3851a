"""Numbers that change from epoch to epoch, as an experiment writes them: ``{linear: [6.0, 2.0]}``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from orchestrator.experiment.field_types import Frozen

Number = int | float


class Schedule(Frozen, ABC):
    """A number for each epoch of a training, the same for all of its steps and on every rank.

    One that is written in whole numbers alone takes no others: what lies between two is rounded, halves up.
    """

    @property
    @abstractmethod
    def num_epochs(self) -> int:
        """How many epochs it takes at least until it has been all that is written."""

    @abstractmethod
    def at(self, epoch: int, *, of: int) -> Number:
        """Return what it is in an epoch, counted from 1, of a training of so many."""

    @property
    @abstractmethod
    def short(self) -> str:
        """What it is in few letters, e.g. ``6.0→2.0``."""

    @abstractmethod
    def __str__(self) -> str:
        """Return what it is called in labels, e.g. ``linear(6.0 to 2.0)``: letters that any keyboard has."""


class Linear(Schedule):
    """From the one number in the first epoch, in equal steps, to the other one in the last."""

    linear: tuple[Number, Number]

    @property
    def num_epochs(self) -> int:
        """2: the first, and the last."""
        return 2

    def at(self, epoch: int, *, of: int) -> Number:
        """See `Schedule.at`."""
        return _between(self.linear, _progress(epoch, of))

    @property
    def short(self) -> str:
        """E.g. ``6.0→2.0``."""
        return "→".join(map(str, self.linear))

    def __str__(self) -> str:
        return f"linear({_called(self.linear)})"


class Cosine(Schedule):
    """From the one number in the first epoch along half a cosine, slow at both ends, to the other one in the last."""

    cosine: tuple[Number, Number]

    @property
    def num_epochs(self) -> int:
        """2: the first, and the last."""
        return 2

    def at(self, epoch: int, *, of: int) -> Number:
        """See `Schedule.at`."""
        # Machines may differ in the last digits of a cosine.
        share = round((1 - math.cos(math.pi * _progress(epoch, of))) / 2, 12)
        return _between(self.cosine, share)

    @property
    def short(self) -> str:
        """E.g. ``cos6.0→2.0``."""
        return "cos" + "→".join(map(str, self.cosine))

    def __str__(self) -> str:
        return f"cosine({_called(self.cosine)})"


class Steps(Schedule):
    """Another number after so many epochs, and before that the one before.

    Attributes:
        steps: Rising, the first 0.
    """

    steps: dict[int, Number]

    def __hash__(self) -> int:
        return hash(tuple(self.steps.items()))

    @property
    def num_epochs(self) -> int:
        """One more than come before the last step."""
        return max(self.steps) + 1

    def at(self, epoch: int, *, of: int) -> Number:
        """See `Schedule.at`."""
        return self.steps[max(start for start in self.steps if start < epoch)]

    @property
    def short(self) -> str:
        """E.g. ``4.0→2.4@20``."""
        return "→".join(f"{value}@{start}" if start else str(value) for start, value in self.steps.items())

    def __str__(self) -> str:
        values = (f"{value} after {start}" if start else str(value) for start, value in self.steps.items())
        return f"steps({' to '.join(values)})"


AnySchedule = Linear | Cosine | Steps


def _progress(epoch: int, of: int) -> float:
    return (epoch - 1) / max(1, of - 1)


def _between(ends: tuple[Number, Number], share: float) -> Number:
    first, last = ends
    # In this form both ends are met exactly.
    value = (1 - share) * first + share * last
    return math.floor(value + 0.5) if isinstance(first, int) and isinstance(last, int) else value


def _called(ends: tuple[Number, Number]) -> str:
    return " to ".join(map(str, ends))
