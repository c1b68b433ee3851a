"""What a table can see at all: the difference that it finds four times out of five, and the seeds that one needs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache

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


def df_with_images(df: float, of_seeds: float, total: float) -> float:
    """Return the degrees of freedom of a variance of which `of_seeds` is estimated, by Satterthwaite.

    What the test images add to it is known as if from very many values.
    """
    return df * (total / of_seeds) ** 2 if of_seeds > 0 else df


def detectable(standard_error: float, df: float, *, m: int, alpha: float) -> float:
    """Return the difference of one row that is told apart from the baseline in `POWER` of all tables.

    Args:
        standard_error: Of such a difference.
        df: Its degrees of freedom.
        m: How many rows are compared with the baseline.
        alpha: The error rate of the table.
    """
    return standard_error * _errors_apart(m, df, alpha) if standard_error > 0 else 0.0


@lru_cache(maxsize=256)
def _errors_apart(m: int, df: float, alpha: float) -> float:
    """Return how many standard errors such a difference is: the same for columns of as many values."""
    (limit,) = constants(m, df, two_sided=True, alpha=alpha)
    chance = _chance(limit, df)
    return float(brentq(lambda shift: chance(shift) - POWER, 0.0, 10 * limit + 10))


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
        df: float = min(2 * (seeds + 1), (num_rows - 1) * (seeds - 1))
        if df < least_df:
            return False
        of_seeds = 2 * variance / seeds
        error = math.sqrt(of_seeds + image_variance)
        df = df_with_images(df, of_seeds, of_seeds + image_variance)
        (limit,) = constants(num_rows - 1, df, two_sided=True, alpha=alpha)
        return _chance(limit, df)(abs(difference) / error if error > 0 else math.inf) >= POWER

    if difference == 0 or not suffice(_MOST_SEEDS):
        return None
    return bisect_left(range(2, _MOST_SEEDS), True, key=suffice) + 2


def half_width(seeds: int, *, variance: float, num_rows: int, alpha: float, image_variance: float = 0.0) -> float:
    """Return how far the interval of a difference reaches to either side, with so many seeds of each row.

    Args:
        seeds: At least 2.
        variance: See `seeds_needed`, for the others, too.
        num_rows: At least 2.
        alpha: See there.
        image_variance: See there.
    """
    of_seeds = 2 * variance / seeds
    total = of_seeds + image_variance
    # As in `seeds_needed`; what the images add is known as if from very many values.
    df = min(2 * (seeds + 1), (num_rows - 1) * (seeds - 1))
    widened = df * (total / of_seeds) ** 2 if of_seeds > 0 else math.inf
    (limit,) = constants(num_rows - 1, widened, two_sided=True, alpha=alpha)
    return float(limit) * math.sqrt(total)


def _chance(limit: float, df: float) -> Callable[[float], float]:
    """Return the probability that the size of a t variable is above a limit, by how many standard errors it is off."""
    points, weights = scales(df)
    return lambda shift: float((ndtr(shift - limit * points) + ndtr(-shift - limit * points)) @ weights)
