"""The fit of a table of rows and seeds: what each row has beyond what the seeds have in common.

A seed gives all rows the same initial weights and order of samples, so that a table is row + seed + the rest. Seeds
that a row lacks are no trouble: the others tell what they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]

# How much the pooled variance counts for in that of a row, in degrees of freedom. Chosen by simulation: with 0 a table
# of three seeds finds nothing, with 4 it finds too much where the rows differ in their spread.
PRIOR_WEIGHT = 2.0
# Numbers in one part of what is computed of triples of rows, 32 MB.
_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class Fit:
    """What is known of the rows of a table, or of many tables that lack the same values.

    Attributes:
        means: Of each row, over all seeds of the table, [..., rows].
        variances: Of a value of each row, shrunk to the pooled one, [..., rows].
        weights: The degrees of freedom of each variance, [rows].
        pooled: The variance of all rows, [...].
        df: Its degrees of freedom.
        loads: What each value counts for in the mean of each row, [rows, values].
        row: The row of each value, [values].
        parts: Which rows can be compared: those with the same number, [rows].
    """

    means: Floats
    variances: Floats
    weights: Floats
    pooled: Floats
    df: int
    loads: Floats
    row: NDArray[np.intp]
    parts: NDArray[np.int32]

    def shares(self, *, overlap: float) -> Floats:
        """Return what of a value's variance the difference of two rows has, if all rows have the same, [rows, rows]."""
        summed = self.loads @ self.loads.T
        own = np.diag(summed)
        shares: Floats = own[:, None] + own[None, :] - 2 * summed + 2 * overlap
        return shares

    def differences(self, *, overlap: float) -> tuple[Floats, Floats, Floats]:
        """Return what each row has more than each other one, the variance of that, and its degrees of freedom.

        Args:
            overlap: What the values of a row have in common, as a part of their variance: no more of them lessen it.

        Returns:
            Three times [..., rows, rows]. The degrees of freedom are Satterthwaite's, at most those of the pooled
            variance.
        """
        size = len(self.weights)
        total, squares = (np.zeros((*self.variances.shape[:-1], size, size)) for _ in range(2))
        # In parts of the rows: of thousands there would be too many triples to be there at once.
        at_once = max(1, _AT_ONCE // size**2)
        for first in range(0, size, at_once):
            rows = np.arange(first, min(first + at_once, size))
            counts = self._counts(rows, overlap)
            variances = self.variances[..., rows]
            total += np.tensordot(variances, counts, axes=(-1, -1))
            squares += np.tensordot(variances**2 / self.weights[rows], counts**2, axes=(-1, -1))
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.where(total > 0, np.minimum(total**2 / squares, self.df), self.df)
        return self.means[..., :, None] - self.means[..., None, :], total, df

    def _counts(self, rows: NDArray[np.intp], overlap: float) -> Floats:
        """Return what the variances of some rows count for in that of each difference, [all rows, all rows, rows]."""
        loads = [self.loads[:, self.row == row] for row in rows]
        products = np.stack([of_row @ of_row.T for of_row in loads], axis=2)
        own = np.einsum("iir->ir", products)
        counts: Floats = np.maximum(own[:, None] + own[None, :] - 2 * products, 0)
        each = np.arange(len(rows))
        counts[rows, :, each] += overlap
        counts[:, rows, each] += overlap
        return counts


def fit(values: Floats, *, resolution: float) -> Fit | None:
    """Return the least squares fit of a table, each row with a variance of its own.

    Args:
        values: [..., rows, seeds], NaN where one is missing; of many tables, all lack the same. Each row and each seed
            has at least one.
        resolution: The least step between two values: no spread is smaller than that of rounding to it.

    Returns:
        None if there are no degrees of freedom: nothing is known of the spread.
    """
    num_rows, num_seeds = values.shape[-2:]
    known = np.isfinite(values.reshape(-1, num_rows, num_seeds)[0])
    pattern = _pattern(known.tobytes(), known.shape)
    if pattern is None:
        return None
    observed = values[..., known]
    coefficients = observed @ pattern.inverse.T
    residuals = observed - coefficients @ pattern.design.T
    least = resolution**2 / 12
    pooled = np.maximum((residuals**2).sum(axis=-1) / pattern.df, least)
    # The first columns of the design say which row a value is of.
    squares = residuals**2 @ pattern.design[:, :num_rows]
    own = np.where(pattern.free > 1e-9, squares / np.maximum(pattern.free, 1e-9), pooled[..., None])
    seen = np.maximum(known.sum(axis=1) - 1.0, 0.0)
    shrunk = (PRIOR_WEIGHT * pooled[..., None] + seen * np.maximum(own, least)) / (PRIOR_WEIGHT + seen)
    return Fit(
        means=coefficients[..., :num_rows] + coefficients[..., num_rows:].sum(axis=-1, keepdims=True) / num_seeds,
        variances=shrunk,
        weights=np.minimum(PRIOR_WEIGHT + seen, pattern.df),
        pooled=pooled,
        df=pattern.df,
        loads=pattern.inverse[:num_rows],
        row=pattern.row,
        parts=pattern.parts,
    )


@dataclass(frozen=True, eq=False)
class _Pattern:
    """What depends on which values are there alone: columns, metrics and data sets mostly lack the same.

    Attributes:
        design: See `_design`.
        inverse: Of the design, [rows + seeds - 1, values].
        df: Degrees of freedom of the residuals.
        free: Of those of each row, [rows].
        row: See `Fit`.
        parts: Likewise.
    """

    design: Floats
    inverse: Floats
    df: int
    free: Floats
    row: NDArray[np.intp]
    parts: NDArray[np.int32]


@lru_cache(maxsize=16)
def _pattern(known: bytes, shape: tuple[int, int]) -> _Pattern | None:
    """Return it; None without degrees of freedom."""
    num_rows, num_seeds = shape
    row, seed = np.nonzero(np.frombuffer(known, dtype=np.bool_).reshape(shape))
    # Each part of the table has a level that its rows and its seeds share.
    parts = _parts(row, seed, shape)
    df = len(row) - (num_rows + num_seeds - len(np.unique(parts)))
    if df < 1:
        return None
    design = _design(row, seed, shape)
    inverse = np.asarray(np.linalg.pinv(design), dtype=np.float64)
    leverages = np.einsum("ij,ji->i", design, inverse)
    found = _Pattern(
        design=design,
        inverse=inverse,
        df=df,
        free=(1 - leverages) @ design[:, :num_rows],
        row=row,
        parts=parts,
    )
    for array in (found.design, found.inverse, found.free, found.row, found.parts):
        array.flags.writeable = False
    return found


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
