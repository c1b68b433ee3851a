"""What a table can see at all: the difference that it finds four times out of five, and the seeds that one needs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr

from orchestrator.results.statistics.dunnett import constants, scales

POWER = 0.8
# More seeds than that nobody trains.
_MOST_SEEDS = 1000


def usual_variance(estimate: float, df: float) -> float:
    """Return the variance that is estimated too low as often as too high, where `estimate` is the usual one.

    The usual estimate is mostly too low where it leans on few values, and would promise too much.
    """
    return estimate * df / (2 * float(gammaincinv(df / 2, 0.5)))


def detectable(standard_error: float, df: float, *, m: int, alpha: float) -> float:
    """Return the difference of one row that is told apart from the baseline in `POWER` of all tables.

    Args:
        standard_error: Of such a difference.
        df: Its degrees of freedom.
        m: How many rows are compared with the baseline.
        alpha: The error rate of the table.
    """
    (limit,) = constants(m, df, two_sided=True, alpha=alpha)
    if not standard_error > 0:
        return 0.0
    chance = _chance(limit, df)
    return standard_error * float(brentq(lambda shift: chance(shift) - POWER, 0.0, 10 * limit + 10))


def seeds_needed(
    difference: float, *, variance: float, num_rows: int, alpha: float, image_variance: float = 0.0, least_df: int = 2
) -> int | None:
    """Return how many seeds each row needs for such a difference to be told apart in `POWER` of all tables.

    Args:
        difference: In the metric's unit; its sign does not matter.
        variance: Of a value, within a row.
        num_rows: Of the table.
        alpha: The error rate of the table.
        image_variance: What the test images add to the variance of the difference, however many seeds there are.
        least_df: With fewer degrees of freedom nothing is told apart.

    Returns:
        At least 2; None if more than a thousand would be needed.
    """

    def suffice(seeds: int) -> bool:
        # Of a whole table whose rows have one variance: the two of a difference have a weight of seeds + 1 each.
        df = min(2 * (seeds + 1), (num_rows - 1) * (seeds - 1))
        if df < least_df:
            return False
        (limit,) = constants(num_rows - 1, df, two_sided=True, alpha=alpha)
        error = math.sqrt(2 * variance / seeds + image_variance)
        return _chance(limit, df)(abs(difference) / error if error > 0 else math.inf) >= POWER

    if difference == 0 or not suffice(_MOST_SEEDS):
        return None
    return bisect_left(range(2, _MOST_SEEDS), True, key=suffice) + 2


def _chance(limit: float, df: float) -> Callable[[float], float]:
    """Return the probability that the size of a t variable is above a limit, by how many standard errors it is off."""
    points, weights = scales(df)
    return lambda shift: float((ndtr(shift - limit * points) + ndtr(-shift - limit * points)) @ weights)
