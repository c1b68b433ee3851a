"""The fit of a table of rows and seeds: what each row has beyond what the seeds have in common.

A seed gives all rows the same initial weights and order of samples, so that a table is row + seed + the rest. Seeds
that a row lacks are no trouble: the others tell what they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]

# How much the pooled variance counts for in that of a row, in degrees of freedom. Chosen by simulation: with 0 a table
# of three seeds finds nothing, with 4 it finds too much where the rows differ in their spread.
PRIOR_WEIGHT = 2.0


@dataclass(frozen=True)
class Fit:
    """What is known of the rows of a table.

    Attributes:
        means: Of each row, over all seeds of the table, [rows].
        variances: Of a value of each row, shrunk to the pooled one, [rows].
        weights: The degrees of freedom of each variance, [rows].
        pooled: The variance of all rows.
        df: Its degrees of freedom.
        products: [rows, rows, rows]: entry (i, j, r) is the sum over the values of row r of the products of what they
            count for in the means of rows i and j.
        parts: Which rows can be compared: those with the same number, [rows].
    """

    means: Floats
    variances: Floats
    weights: Floats
    pooled: float
    df: int
    products: Floats
    parts: NDArray[np.int32]

    def shares(self, *, overlap: float) -> Floats:
        """Return what of a value's variance the difference of two rows has, if all rows have the same, [rows, rows]."""
        summed = self.products.sum(axis=2)
        own = np.diag(summed)
        shares: Floats = own[:, None] + own[None, :] - 2 * summed + 2 * overlap
        return shares

    def differences(self, *, overlap: float) -> tuple[Floats, Floats, Floats]:
        """Return what each row has more than each other one, the variance of that, and its degrees of freedom.

        Args:
            overlap: What the values of a row have in common, as a part of their variance: no more of them lessen it.

        Returns:
            Three times [rows, rows]. The degrees of freedom are Satterthwaite's, at most those of the pooled variance.
        """
        own = np.einsum("iir->ir", self.products)
        counts = np.maximum(own[:, None] + own[None, :] - 2 * self.products, 0)
        rows = np.arange(len(self.means))
        counts[rows, :, rows] += overlap
        counts[:, rows, rows] += overlap
        counts *= self.variances
        total = counts.sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            satterthwaite = total**2 / (counts**2 / self.weights).sum(axis=2)
        df = np.where(total > 0, np.minimum(satterthwaite, self.df), self.df)
        return self.means[:, None] - self.means[None, :], total, df


def fit(values: Floats, *, resolution: float) -> Fit | None:
    """Return the least squares fit of a table, each row with a variance of its own.

    Args:
        values: [rows, seeds], NaN where one is missing. Each row and each seed has at least one.
        resolution: The least step between two values: no spread is smaller than that of rounding to it.

    Returns:
        None if there are no degrees of freedom: nothing is known of the spread.
    """
    num_rows, _ = values.shape
    row, seed = np.nonzero(np.isfinite(values))
    observed = values[row, seed]
    design = _design(row, seed, values.shape)
    inverse = np.linalg.pinv(design)
    coefficients = inverse @ observed
    residuals = observed - design @ coefficients
    df = len(observed) - int(np.linalg.matrix_rank(design))
    if df < 1:
        return None
    least = resolution**2 / 12
    pooled = max(float(residuals @ residuals) / df, least)
    free = np.bincount(row, weights=1 - np.einsum("ij,ji->i", design, inverse), minlength=num_rows)
    squares = np.bincount(row, weights=residuals**2, minlength=num_rows)
    own = np.where(free > 1e-9, squares / np.maximum(free, 1e-9), pooled)
    seen = np.maximum(np.bincount(row, minlength=num_rows) - 1.0, 0.0)
    shrunk = (PRIOR_WEIGHT * pooled + seen * np.maximum(own, least)) / (PRIOR_WEIGHT + seen)
    of_rows = inverse[:num_rows]
    products = np.stack([of_rows[:, row == r] @ of_rows[:, row == r].T for r in range(num_rows)], axis=2)
    return Fit(
        means=coefficients[:num_rows] + np.concatenate([[0.0], coefficients[num_rows:]]).mean(),
        variances=shrunk,
        weights=np.minimum(PRIOR_WEIGHT + seen, df),
        pooled=pooled,
        df=df,
        products=products,
        parts=_parts(row, seed, values.shape),
    )


def _design(row: NDArray[np.intp], seed: NDArray[np.intp], shape: tuple[int, int]) -> Floats:
    """Return which row, and which seed but the first, each value is of: [values, rows + seeds - 1]."""
    num_rows, num_seeds = shape
    design = np.zeros((len(row), num_rows + num_seeds - 1))
    design[np.arange(len(row)), row] = 1
    later = np.flatnonzero(seed)
    design[later, num_rows + seed[later] - 1] = 1
    return design


def _parts(row: NDArray[np.intp], seed: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return a number for each row, the same for rows that seeds connect: of others no difference is known."""
    num_rows, num_seeds = shape
    size = num_rows + num_seeds
    links = coo_array((np.ones(len(row)), (row, num_rows + seed)), shape=(size, size))
    _, labels = connected_components(links, directed=False)
    return np.asarray(labels[:num_rows], dtype=np.int32)
