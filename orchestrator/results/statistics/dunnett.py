"""The constants of Dunnett's and Hsu's procedures: how far apart rows must be for a table of many to say so.

The distribution is that of the largest of m equally correlated t variables, or of the largest of their sizes. Two
contrasts that share a row of the same variance have a correlation of one half.

Sources: Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 50 (1955);
Hsu, "Multiple Comparisons: Theory and Methods", Chapman and Hall (1996), for both.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebpts1
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root
from scipy.special import gammaincinv, ndtr, roots_hermitenorm

Floats = NDArray[np.float64]

CORRELATION = 0.5
# Between them every constant lies.
_LOWEST, _HIGHEST = 0.01, 200.0
# The last step towards a constant is smaller than this part of it; what is left is a hundredth of that.
_LAST_STEP = 1e-9
# Between two of these values of 1 / df the constants are a polynomial of this degree, to ten digits.
_KNOTS = (0.0, 0.025, 0.125, 1 / 3, 2 / 3, 1.0)
_DEGREE = 12
_AS_GOOD_AS_INFINITE = 1e7


class _Grid:
    """Where a normal variable, and the root of a chi-square one divided by its degrees of freedom, are looked at."""

    def __init__(self, num_normal: int, num_scales: int) -> None:
        self.normal, weights = roots_hermitenorm(num_normal)
        self.normal_weights: Floats = weights / weights.sum()
        points, weights = leggauss(num_scales)
        self.quantiles: Floats = (points + 1) / 2
        self.scale_weights: Floats = weights / 2

    def scales(self, df: Floats) -> Floats:
        """Return the quantiles of the root of a chi-square variable divided by its degrees of freedom, [k, scales]."""
        found: Floats = np.sqrt(2 * gammaincinv(df[:, None] / 2, self.quantiles) / df[:, None])
        return found

    def probability(self, limit: Floats, m: int, df: Floats, *, two_sided: bool) -> Floats:
        """As `probability`, for arrays."""
        common, own = np.sqrt(CORRELATION) * self.normal, np.sqrt(1 - CORRELATION)
        bounds = (limit[:, None] * self.scales(df))[:, :, None]
        below = ndtr((common + bounds) / own)
        if two_sided:
            below -= ndtr((common - bounds) / own)
        result: Floats = (below**m @ self.normal_weights) @ self.scale_weights
        return result


# The constants agree with printed tables to all of their digits; with the coarse one to two.
_FINE, _COARSE = _Grid(64, 96), _Grid(16, 24)


def probability(limit: ArrayLike, m: int, df: ArrayLike, *, two_sided: bool) -> Floats:
    """Return the probability that all m variables, or their sizes, are below a limit.

    Args:
        limit: [k]
        m: How many variables.
        df: Degrees of freedom, [k].
        two_sided: Whether it is of their sizes.

    Returns:
        [k], 0 to 1.
    """
    limits, dfs = np.broadcast_arrays(np.atleast_1d(np.asarray(limit, float)), np.atleast_1d(np.asarray(df, float)))
    dfs = np.minimum(dfs, _AS_GOOD_AS_INFINITE)
    return _FINE.probability(limits, m, dfs, two_sided=two_sided)


def scales(df: float) -> tuple[Floats, Floats]:
    """Return quantiles of the root of a chi-square variable divided by its degrees of freedom, and their weights."""
    (points,) = _FINE.scales(np.array([df]))
    return points, _FINE.scale_weights


def constants(m: int, df: ArrayLike, *, two_sided: bool, alpha: float) -> Floats:
    """Return which limit all m variables, or their sizes, are below but for a probability of `alpha`.

    Args:
        m: How many variables.
        df: Degrees of freedom, at least 1, [k].
        two_sided: Whether it is of their sizes.
        alpha: Between 0 and 1.

    Returns:
        [k], right to nine digits.
    """
    wanted = 1 / np.minimum(np.atleast_1d(np.asarray(df, float)), _AS_GOOD_AS_INFINITE)
    limits: Floats = np.empty_like(wanted)
    for (low, high), piece in zip(pairwise(_KNOTS), _pieces(m, two_sided, alpha), strict=True):
        here = (low <= wanted) & (wanted <= high)
        if here.any():
            limits[here] = piece(wanted[here])
    return limits


@lru_cache(maxsize=256)
def _pieces(m: int, two_sided: bool, alpha: float) -> tuple[Chebyshev, ...]:
    """Return the constants as smooth functions of 1 / df, between the knots; they are solved for once."""
    points = chebpts1(_DEGREE + 1)
    at = [low + (high - low) * (points + 1) / 2 for low, high in pairwise(_KNOTS)]
    solved = _solved(m, 1 / np.concatenate(at), two_sided=two_sided, alpha=alpha)
    return tuple(
        Chebyshev.fit(x, y, _DEGREE, domain=[low, high])
        for x, y, (low, high) in zip(at, np.split(solved, len(at)), pairwise(_KNOTS), strict=True)
    )


def _solved(m: int, df: Floats, *, two_sided: bool, alpha: float) -> Floats:
    def excess(limit: Floats, of: Floats, grid: _Grid = _COARSE) -> Floats:
        return grid.probability(limit, m, of, two_sided=two_sided) - (1 - alpha)

    bounds = np.full_like(df, _LOWEST), np.full_like(df, _HIGHEST)
    limits: Floats = find_root(excess, bounds, args=(df,), tolerances={"xrtol": 1e-3}).x
    # From there on by Newton's method, with the slope that the coarse grid has.
    width = 1e-3 * limits
    slopes = (excess(limits + width, df) - excess(limits - width, df)) / (2 * width)
    for _ in range(20):
        steps = excess(limits, df, _FINE) / slopes
        limits = limits - steps
        if np.all(np.abs(steps) < _LAST_STEP * limits):
            return limits
    raise ArithmeticError(f"no constant of {m} rows was found")
