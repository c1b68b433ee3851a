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
        is_rough: The interval is there but leans on very few degrees of freedom.
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
        means: Of each row with a value, over all seeds of the table.
        may_be_best: The rows that are not shown to be worse than some other.
        detectable: The difference from the baseline that this table tells apart four times out of five; None if it
            tells nothing apart.
        df: Degrees of freedom of the table.
        variance: Of a value within a row, over all rows, as often too low as too high; NaN without degrees of freedom.
        alpha: The error rate.
        image_variance: What the test images add to the variance of a difference, of the pair in the middle; 0 where it
            is about these images.
    """

    rows: Mapping[str, RowVerdict]
    means: Mapping[str, float]
    may_be_best: tuple[str, ...]
    detectable: float | None
    df: int
    variance: float
    alpha: float
    image_variance: float = 0.0

    @property
    def tells(self) -> bool:
        """There are two rows at least, and seeds enough to say anything of them."""
        return len(self.means) > 1 and self.df >= LEAST_DF

    def seeds_needed(self, difference: float) -> int | None:
        """Return how many seeds each row needs for such a difference to be told apart four times out of five.

        Returns:
            None if this table says nothing of the spread, or a thousand would not do, e.g. for want of test images.
        """
        if not self.tells:
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
