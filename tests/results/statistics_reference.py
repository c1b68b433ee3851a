"""The definition of what is said of a table, slow and plain: the product's own code is tested against it.

Lower values are better. One row at a time, one constant at a time, nothing tabulated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, roots_hermitenorm
from scipy.stats import chi

Floats = NDArray[np.float64]
Fitted = tuple[Floats, Floats, Floats, int, Floats, NDArray[np.intp]]

PRIOR_WEIGHT = 2.0
RHO = 0.5
_Z, _W = roots_hermitenorm(64)
_W = _W / _W.sum()
_U, _WU = np.polynomial.legendre.leggauss(96)
_U, _WU = (_U + 1) / 2, _WU / 2


def dunnett_cdf(c: float, m: int, df: float, *, two_sided: bool) -> float:
    """Return the probability that all of m equicorrelated t variables, or their sizes, are below c."""
    s = chi.ppf(_U, df) / np.sqrt(df)
    a, b = np.sqrt(RHO) * _Z[None, :], np.sqrt(1 - RHO)
    p = ndtr((a + c * s[:, None]) / b) - (ndtr((a - c * s[:, None]) / b) if two_sided else 0)
    return float((_WU[:, None] * _W[None, :] * p**m).sum())


def dunnett_constant(m: int, df: float, *, two_sided: bool, alpha: float = 0.05) -> float:
    return float(brentq(lambda c: dunnett_cdf(c, m, df, two_sided=two_sided) - (1 - alpha), 0.01, 200))


def fit(values: Floats) -> Fitted | None:
    """Return adjusted means, shrunk variances, their weights, df, the values' parts in the means, and their rows."""
    rows, seeds = values.shape
    r, s = np.nonzero(np.isfinite(values))
    y = values[r, s]
    design = np.zeros((len(y), rows + seeds - 1))
    design[np.arange(len(y)), r] = 1
    later = s > 0
    design[np.nonzero(later)[0], rows + s[later] - 1] = 1
    pseudo = np.linalg.pinv(design)
    beta = pseudo @ y
    residuals = y - design @ beta
    leverage = np.einsum("ij,ji->i", design, pseudo)
    df = len(y) - int(np.linalg.matrix_rank(design))
    if df < 1:
        return None
    pooled = (residuals**2).sum() / df
    variance, nu = np.empty(rows), np.empty(rows)
    for row in range(rows):
        mine = r == row
        free = (1 - leverage[mine]).sum()
        nu[row] = max(mine.sum() - 1, 0)
        variance[row] = (residuals[mine] ** 2).sum() / free if free > 1e-9 else pooled
    shrunk = (PRIOR_WEIGHT * pooled + nu * variance) / (PRIOR_WEIGHT + nu)
    weight = np.minimum(PRIOR_WEIGHT + nu, df)
    means = beta[:rows] + np.concatenate([[0], beta[rows:]]).mean()
    return means, shrunk, weight, df, pseudo[:rows], r


def difference(fitted: Fitted, i: int, j: int) -> tuple[float, float, float]:
    """Return the difference of two rows, its variance, and Satterthwaite's degrees of freedom."""
    means, shrunk, weight, df, pseudo, r = fitted
    c = pseudo[i] - pseudo[j]
    parts = np.array([(c[r == row] ** 2).sum() * shrunk[row] for row in range(len(means))])
    total = parts.sum()
    return means[i] - means[j], total, min(total**2 / (parts**2 / weight).sum(), df)


def against_baseline(fitted: Fitted, baseline: int = 0, alpha: float = 0.05) -> dict[int, tuple[float, ...]]:
    """Return difference, low, high and adjusted p of every other row, simultaneous over all of them."""
    num_rows, found = len(fitted[0]), {}
    for i in range(num_rows):
        if i != baseline:
            d, variance, df = difference(fitted, i, baseline)
            se = np.sqrt(variance)
            c = dunnett_constant(num_rows - 1, df, two_sided=True, alpha=alpha)
            p = 1 - dunnett_cdf(abs(d) / se, num_rows - 1, df, two_sided=True)
            found[i] = (d, d - c * se, d + c * se, p)
    return found


def may_be_best(fitted: Fitted, alpha: float = 0.05) -> list[int]:
    """Return the rows that are not shown to be worse than some other (Hsu's multiple comparisons with the best)."""
    num_rows, kept = len(fitted[0]), []
    for i in range(num_rows):
        others = (difference(fitted, i, j) for j in range(num_rows) if j != i)
        if not any(
            d > dunnett_constant(num_rows - 1, df, two_sided=num_rows == 2, alpha=alpha) * np.sqrt(v)
            for d, v, df in others
        ):
            kept.append(i)
    return kept
