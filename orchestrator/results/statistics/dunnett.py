"""The constants of Dunnett's and Hsu's procedures: how far apart rows must be for a table of many to say so.

The distribution is that of the largest of m equally correlated t variables, or of the largest of their sizes. Two
contrasts that share a row of the same variance have a correlation of one half.

Sources: Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 50 (1955);
Hsu, "Multiple Comparisons: Theory and Methods", Chapman and Hall (1996), for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root
from scipy.special import gammaincinv, ndtr, roots_hermitenorm, stdtrit

Floats = NDArray[np.float64]

CORRELATION = 0.5
# Above it every constant lies.
_LOWEST = 0.01
_AS_GOOD_AS_INFINITE = 1e7
# Of a variable whose variance is known, nothing is beyond this bound.
_CERTAIN = 12.0
# Where a normal variable, and the quantiles of a scale, are looked at: with as many points, the constants agree with
# printed tables to all of their digits.
_NORMAL, _NORMAL_WEIGHTS = roots_hermitenorm(64)
_NORMAL_WEIGHTS = _NORMAL_WEIGHTS / _NORMAL_WEIGHTS.sum()
_QUANTILES, _QUANTILE_WEIGHTS = leggauss(96)
_QUANTILES, _QUANTILE_WEIGHTS = (_QUANTILES + 1) / 2, _QUANTILE_WEIGHTS / 2


@dataclass(frozen=True, eq=False)
class _Tabulated:
    """A smooth function of which polynomials are kept, one between each two knots.

    Attributes:
        knots: Ascending.
        coefficients: Of Chebyshev's polynomials, [degree + 1, pieces, ...].
    """

    knots: Floats
    coefficients: Floats

    @classmethod
    def of(cls, function: Callable[[Floats], Floats], knots: ArrayLike, *, degree: int) -> _Tabulated:
        """Return it of a function that takes [k] and returns [k, ...]."""
        ends, points = np.asarray(knots, float), chebpts1(degree + 1)
        at = ends[:-1] + np.diff(ends) * (points[:, None] + 1) / 2
        values = function(at.ravel())
        weights = 2 / (degree + 1) * chebvander(points, degree)
        weights[:, 0] /= 2
        return cls(ends, np.tensordot(weights.T, values.reshape(*at.shape, *values.shape[1:]), axes=1))

    def __call__(self, x: Floats) -> Floats:
        """Return the function at [k], which lie between the first and the last knot."""
        piece = np.clip(np.searchsorted(self.knots, x, "right") - 1, 0, len(self.knots) - 2)
        low, high = self.knots[piece], self.knots[piece + 1]
        place = ((x - low) + (x - high)) / (high - low)
        place = place.reshape(place.shape + (1,) * (self.coefficients.ndim - 2))
        # Clenshaw's recurrence. `chebval` would need the coefficients of all x at once.
        last: Floats = np.zeros(1)
        before: Floats = np.zeros(1)
        for coefficients in self.coefficients[:0:-1]:
            last, before = coefficients[piece] + 2 * place * last - before, last
        found: Floats = self.coefficients[0][piece] + place * last - before
        return found


def probability(limit: ArrayLike, m: int, df: ArrayLike, *, two_sided: bool) -> Floats:
    """Return the probability that all m variables, or their sizes, are below a limit.

    Args:
        limit: [k]
        m: How many variables.
        df: Degrees of freedom, at least 1, [k].
        two_sided: Whether it is of their sizes.

    Returns:
        [k], 0 to 1.
    """
    limits, dfs = np.broadcast_arrays(np.atleast_1d(np.asarray(limit, float)), np.atleast_1d(np.asarray(df, float)))
    bounds = np.clip(limits[:, None] * _scales(dfs), -_CERTAIN, _CERTAIN)
    found: Floats = _known_scale(m, two_sided)(bounds.ravel()).reshape(bounds.shape) @ _QUANTILE_WEIGHTS
    return found


@lru_cache(maxsize=64)
def _known_scale(m: int, two_sided: bool) -> _Tabulated:
    """Return the probability that all m are below a bound where the variance is known, by the bound."""
    common, own = np.sqrt(CORRELATION) * _NORMAL, np.sqrt(1 - CORRELATION)

    def all_below(bounds: Floats) -> Floats:
        below = ndtr((common + bounds[:, None]) / own)
        if two_sided:
            below -= ndtr((common - bounds[:, None]) / own)
        found: Floats = below**m @ _NORMAL_WEIGHTS
        return found

    return _Tabulated.of(all_below, np.arange(-_CERTAIN, _CERTAIN + 1), degree=24)


def scales(df: float) -> tuple[Floats, Floats]:
    """Return quantiles of the root of a chi-square variable divided by its degrees of freedom, and their weights."""
    (points,) = _scales(np.array([df]))
    return points, _QUANTILE_WEIGHTS


def _scales(df: Floats) -> Floats:
    """As `scales`, the quantiles for [k], [k, quantiles]."""
    return _scales_by_root()(1 / np.sqrt(np.minimum(df, _AS_GOOD_AS_INFINITE)))


@lru_cache(maxsize=1)
def _scales_by_root() -> _Tabulated:
    """Return the quantiles by 1 / sqrt(df), of which they are a smooth function; each takes a microsecond to find."""

    def quantiles(inverse: Floats) -> Floats:
        df = 1 / inverse[:, None] ** 2
        found: Floats = np.sqrt(2 * gammaincinv(df / 2, _QUANTILES) / df)
        return found

    return _Tabulated.of(quantiles, (0.0, 0.25, 0.5, 0.75, 1.0), degree=12)


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
    found: Floats = _of_inverse_df(m, two_sided, alpha)(
        1 / np.minimum(np.atleast_1d(np.asarray(df, float)), _AS_GOOD_AS_INFINITE)
    )
    return found


@lru_cache(maxsize=256)
def _of_inverse_df(m: int, two_sided: bool, alpha: float) -> _Tabulated:
    """Return the constants by 1 / df, of which they are a smooth function: they are solved for once."""
    knots = (0.0, 0.025, 0.125, 1 / 3, 1 / 2, 2 / 3, 1.0)
    return _Tabulated.of(lambda inverse: _solved(m, 1 / inverse, two_sided=two_sided, alpha=alpha), knots, degree=12)


def _solved(m: int, df: Floats, *, two_sided: bool, alpha: float) -> Floats:
    def excess(limit: Floats, of: Floats) -> Floats:
        return probability(limit, m, of, two_sided=two_sided) - (1 - alpha)

    # Below twice Bonferroni's: with one degree of freedom and many rows these are hundreds.
    bounds = np.full_like(df, _LOWEST), 1.0 - 2 * stdtrit(df, alpha / (2 * m))
    found = find_root(excess, bounds, args=(df,), tolerances={"xrtol": 1e-12})
    if not found.success.all():
        raise ArithmeticError(f"no constant of {m} rows was found")
    limits: Floats = found.x
    return limits
