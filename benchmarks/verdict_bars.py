"""What a claim about verdicts is: what is counted over many tables, and what each figure has to be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from orchestrator.results.statistics import RESOLUTION
from orchestrator.results.statistics.fit import fit
from orchestrator.results.statistics.pairs import Pairs

# Half a point, found with a standard deviation of 0.3 points over the seeds: what sweeps like ours are about.
SIGMA, SHIFT = 0.3, 0.5
ALL = 8000
Floats = NDArray[np.float64]
# Numbers in the largest array for the tables that are judged at once: 32 MB.
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Said:
    """What is said of tables that lack the same values, and whose first row is the baseline, as `analyse` says it.

    Attributes:
        difference: Of each other row from the baseline, [tables, rows - 1].
        low: Of its interval, likewise.
        high: Likewise.
        may_be_best: Of all rows, [tables, rows].
    """

    difference: Floats
    low: Floats
    high: Floats
    may_be_best: NDArray[np.bool_]

    @property
    def has_word(self) -> NDArray[np.bool_]:
        """Whether some row is called better or worse, [tables]."""
        return np.asarray(((self.low > 0) | (self.high < 0)).any(axis=1))


def said_of(
    tables: Floats, of_images: Floats | None = None, *, alpha: float = 0.05, resolution: float = RESOLUTION
) -> Said:
    """Return what is said of tables, less being better: the arrays that `analyse` makes words of.

    Args:
        tables: [tables, rows, seeds]; all lack the same values.
        of_images: What images add to the variance of the difference of two rows, [tables, rows, rows].
        alpha: See `analyse`.
        resolution: Likewise.
    """
    num_tables, num_rows, _ = tables.shape
    of_images = np.zeros((num_tables, 1, 1)) if of_images is None else of_images
    num_parts = math.ceil(num_tables * num_rows**2 / _AT_ONCE)
    parts = zip(np.array_split(tables, num_parts), np.array_split(of_images, num_parts), strict=True)
    return joined(_said_of(*part, alpha, resolution) for part in parts)


def joined(parts: Iterable[Said]) -> Said:
    """Return what is said of the tables of all parts."""
    arrays = zip(*(vars(part).values() for part in parts), strict=True)
    return Said(*(np.concatenate(each) for each in arrays))


def _said_of(tables: Floats, of_images: Floats, alpha: float, resolution: float) -> Said:
    fitted = fit(tables, resolution=resolution)
    assert fitted is not None
    pairs = Pairs.of(fitted, of_images)
    difference, half = pairs.differences[:, 1:, 0], pairs.halves(0, alpha=alpha)[:, 1:]
    return Said(difference, difference - half, difference + half, pairs.not_worse(sign=1.0, alpha=alpha))


@dataclass(frozen=True)
class Bar:
    """What a figure has to be.

    Attributes:
        what: The figure's name.
        most: It is no more.
        least: It is no less.
    """

    what: str
    most: float = math.inf
    least: float = -math.inf

    def is_met(self, figure: float, *, slack: float) -> bool:
        """Return whether a figure is as it has to be, or misses that by no more than `slack`; NaN is not."""
        return self.least - slack <= figure <= self.most + slack

    def __str__(self) -> str:
        ends = [f">= {self.least:.3f}"] if math.isfinite(self.least) else []
        return " ".join(ends + ([f"<= {self.most:.3f}"] if math.isfinite(self.most) else []))


class Claim(Protocol):
    """Tables of one kind, and what is counted of them."""

    @property
    def label(self) -> str:
        """All that differs from other claims."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """What has to be met; there may be more figures."""

    @property
    def tables(self) -> int:
        """How many are drawn; fewer than `ALL` where one takes long."""

    def measured(self, rng: Generator, num_tables: int) -> Mapping[str, float]:
        """Return each figure by name, from so many tables."""
        ...
