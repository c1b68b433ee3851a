"""What is said of a table: the words, and what they rest on. Nothing is computed here, and SciPy is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ALPHA = 0.05
# Values that differ by less are the same but for rounding: one image of a million is more.
RESOLUTION = 1e-6
# With fewer degrees of freedom nothing is said, and what is said is rough.
LEAST_DF, ROUGH_DF = 2, 4
# Likewise with so few values of a row, however many degrees of freedom the other rows bring.
ROUGH_VALUES = 2
Verdict = Literal["better", "worse", "not told apart", "equal within margin", "too few seeds"]


@dataclass(frozen=True)
class RowVerdict:
    """A row against the baseline.

    Attributes:
        difference: What its mean is above the baseline's, in the metric's unit, seeds that one lacks allowed for; NaN
            if no seeds connect them.
        low: Of the interval that holds together with those of all other rows; NaN where there is none.
        high: The other end.
        p: Adjusted for all rows: the least alpha at which the interval would leave 0 out; NaN without an interval.
        verdict: What may be said.
        is_rough: The interval is there but leans on very few degrees of freedom, or on two values of a row.
    """

    difference: float
    low: float
    high: float
    p: float
    verdict: Verdict
    is_rough: bool = False


@dataclass(frozen=True)
class Analysis:
    """What may be said of a table.

    Attributes:
        rows: Each row with a value but the baseline, in the table's order; empty without a baseline.
        means: Of each row with a value, over all seeds of the table; over its own where no seeds connect all rows.
        may_be_best: The rows that are not ruled out: of each other one it is shown that some row is at least as good.
        detectable: The difference from the baseline that this table tells apart four times out of five, or would if one
            degree of freedom told anything; None without a baseline, and where there is none.
        df: Degrees of freedom of the table.
        variance: Of a value within a row, over all rows, as often too low as too high; NaN without degrees of freedom.
        alpha: The error rate.
        image_variance: What the test images add to the variance of a difference, of the pair in the middle of those
            of which it is known; 0 where it is about these images.
        overlap: What the values of a row have in common, as a part of their variance: see `analyse`.
    """

    rows: Mapping[str, RowVerdict]
    means: Mapping[str, float]
    may_be_best: tuple[str, ...]
    detectable: float | None
    df: int
    variance: float
    alpha: float
    image_variance: float = 0.0
    overlap: float = 0.0

    @property
    def in_folds(self) -> bool:
        """Its values are of folds and not of seeds: each has test images of its own."""
        return self.overlap > 0

    @property
    def tells(self) -> bool:
        """There are two rows at least, and seeds enough to say anything of them."""
        return len(self.means) > 1 and self.df >= LEAST_DF

    def seeds_needed(self, difference: float) -> int | None:
        """Return how many seeds each row needs for such a difference to be told apart four times out of five.

        Returns:
            None if this table says nothing of the spread, a thousand would not do, e.g. for want of test images, or its
            values are of folds: no seeds lessen what these have in common.
        """
        if len(self.means) < 2 or self.df < 1 or self.in_folds:
            return None
        # SciPy takes half a second to import, which a command that compares nothing need not pay.
        from orchestrator.results.statistics.power import seeds_needed

        return seeds_needed(
            difference,
            variance=self.variance,
            num_rows=len(self.means),
            alpha=self.alpha,
            image_variance=self.image_variance,
            least_df=LEAST_DF,
        )

    def half_width(self, seeds: int, *, times_images: float = 1.0) -> float:
        """Return how far the interval of a difference would reach to either side, in a table like this one.

        Args:
            seeds: Of each row, at least 2.
            times_images: How many times as many test images there are.
        """
        from orchestrator.results.statistics.power import half_width  # see `seeds_needed`

        return half_width(
            seeds,
            variance=self.variance,
            num_rows=len(self.means),
            alpha=self.alpha,
            image_variance=self.image_variance / times_images,
        )
