"""Ranges that values are drawn from, by Ray Tune's names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestrator.errors import UserError

Number = int | float
# Labels can be read, and two searches meet in the same cells.
DIGITS = 3
# As good as without end.
MANY = 1_000_000


@dataclass(frozen=True)
class Range:
    """Numbers between two ends; of whole numbers, the upper end is not among them, as in Ray Tune.

    Attributes:
        low: The lower end, which may be drawn.
        high: The upper end.
        name: As an experiment file spells it.
        is_log: Equal ratios are equally likely, and not equal differences.
        is_whole: Whole numbers are drawn.

    Raises:
        UserError: An end is no such number, or there is nothing to choose between them.
    """

    low: Number
    high: Number
    name: ClassVar[str]
    is_log: ClassVar[bool] = False
    is_whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        ends = [self.low, self.high]
        if not all(map(self._is_end, ends)):
            kind = "whole numbers" if self.is_whole else "finite numbers"
            raise self._refused(f"two {kind}" + (" above 0" if self.is_log else ""), "Write [LOW, HIGH].")
        if self.is_whole and self.high - self.low < 2:
            raise self._refused(
                "HIGH at least LOW + 2", f"HIGH itself is never drawn: [{self.low}, {self.low + 2}] is two numbers."
            )
        if not self.low < self.high:
            raise self._refused("LOW below HIGH", "Swap them, or give the value itself.")
        if self.size < 2:
            allowed = f"ends that differ in their first {DIGITS} digits: what is drawn has no more"
            raise self._refused(allowed, "Move them apart, or give the value itself.")

    def _is_end(self, end: object) -> bool:
        kinds = int if self.is_whole else int | float
        is_number = isinstance(end, kinds) and not isinstance(end, bool) and _is_finite(end)
        return is_number and (not self.is_log or end > 0)  # type: ignore[operator]

    def _refused(self, allowed: str, remedy: str) -> UserError:
        return UserError(f"{self.name}: [{self.low}, {self.high}]", allowed=allowed, remedy=remedy)

    @property
    def last(self) -> Number:
        """The largest value that can be drawn."""
        return self.high - 1 if self.is_whole else self.high

    @property
    def size(self) -> int:
        """How many values can be drawn; where they come ever closer to 0, more than anybody draws."""
        if self.is_whole:
            return _num_whole(int(self.low), int(self.last))
        if self.low <= 0 <= self.last:
            return MANY
        return abs(_place(self.last) - _place(self.low)) + 1

    def at(self, share: float) -> Number:
        """Return the value below which so large a share of the range lies, as it is kept.

        Args:
            share: In [0, 1).
        """
        if self.is_log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return self.settled(math.floor(value) if self.is_whole else value)

    def settled(self, value: float) -> Number:
        """Return a value to three significant digits, and not beyond the ends."""
        rounded = float(f"{value:.{DIGITS}g}")
        kept = min(max(rounded, self.low), self.last)
        return int(kept) if self.is_whole else float(kept)

    def has(self, value: object) -> bool:
        """Return whether a value lies in the range, whether or not it would be drawn."""
        kinds = int if self.is_whole else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.last

    def __str__(self) -> str:
        return f"{self.name}({self.low:g}, {self.high:g})"


def _is_finite(end: object) -> bool:
    try:
        return math.isfinite(end)  # type: ignore[arg-type]
    except OverflowError:  # a whole number that is too large for a fraction
        return False


def _place(value: float) -> int:
    """Return which of the numbers with so many digits the size of a value is, counted through all powers of ten."""
    mantissa, exponent = f"{abs(value):.{DIGITS - 1}e}".split("e")
    hundreds = int(10 ** (DIGITS - 1))
    return int(exponent) * 9 * hundreds + round(float(mantissa) * hundreds)


def _num_whole(low: int, last: int) -> int:
    """Return how many whole numbers with so many digits there are from one to another, both among them."""
    if last < 0:
        return _num_whole(-last, -low)
    if low < 0:
        return _num_whole(1, -low) + _num_whole(0, last)
    first_rounded = int(10**DIGITS)
    exact = max(0, min(last, first_rounded - 1) - low + 1)
    return exact + (max(0, _place(last) - _place(max(low, first_rounded)) + 1) if last >= first_rounded else 0)


@dataclass(frozen=True)
class Uniform(Range):
    """Any number, each as likely."""

    name = "uniform"


@dataclass(frozen=True)
class LogUniform(Range):
    """Any number above 0, each order of magnitude as likely."""

    name = "loguniform"
    is_log = True


@dataclass(frozen=True)
class RandInt(Range):
    """Whole numbers from ``low`` to ``high - 1``."""

    name = "randint"
    is_whole = True


@dataclass(frozen=True)
class LogRandInt(Range):
    """Whole numbers from ``low`` to ``high - 1``, above 0, each order of magnitude as likely."""

    name = "lograndint"
    is_log = True
    is_whole = True


RANGES: dict[str, type[Range]] = {kind.name: kind for kind in (Uniform, LogUniform, RandInt, LogRandInt)}


def is_range(value: object) -> bool:
    """Return whether a value of a file is meant as a range: a mapping whose only key is the name of one."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in RANGES


def read_range(value: Mapping[str, Any]) -> Range:
    """Return what ``{uniform: [LOW, HIGH]}`` means.

    Raises:
        UserError: It is no such mapping, or its ends are not allowed.
    """
    if not is_range(value):
        raise UserError(f"range: {value}", allowed=f"one of {', '.join(RANGES)}, with [LOW, HIGH]")
    name, ends = next(iter(value.items()))
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise UserError(f"{name}: {ends}", allowed="[LOW, HIGH]", remedy="Write both ends; single values are a list.")
    return RANGES[name](*ends)
