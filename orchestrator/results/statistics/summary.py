"""What a row is by itself: the mean of its values, their spread, and how many of its trainings fail."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable


def mean_and_std(values: Iterable[float]) -> tuple[float, float | None]:
    """Return mean (NaN without values or if one is not finite) and standard deviation (ddof=1; None below two)."""
    known = list(values)
    if not known or not all(map(math.isfinite, known)):
        return math.nan, None
    # Rounded, so that ties are ties: shares of a test set are no binary fractions, and the means of the same number of
    # errors, spread differently over the seeds, would differ in the last bit.
    return round(statistics.fmean(known), 9), statistics.stdev(known) if len(known) > 1 else None


def share_interval(num_hits: int, num_trials: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of a share of which so many hits were seen: exact, by Clopper and Pearson.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934).
    """
    from scipy.special import betaincinv  # half a second, which a table without failures need not pay

    low = betaincinv(num_hits, num_trials - num_hits + 1, alpha / 2) if num_hits else 0.0
    high = betaincinv(num_hits + 1, num_trials - num_hits, 1 - alpha / 2) if num_hits < num_trials else 1.0
    return float(low), float(high)
