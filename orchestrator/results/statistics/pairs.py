"""Each two rows of a table: how much they differ, how sure that is, and what follows for all of them at once.

All of it is arrays, of one table or of many that lack the same values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.results.statistics.dunnett import constants, probability
from orchestrator.results.statistics.fit import Fit, Floats


@dataclass(frozen=True, eq=False)
class Pairs:
    """What is known of each two rows: the first minus the second.

    Attributes:
        differences: Of their means, [..., rows, rows].
        errors: Standard errors of the differences, likewise.
        df: Of the errors, likewise.
        known: Whether seeds connect them, [rows, rows].
    """

    differences: Floats
    errors: Floats
    df: Floats
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, fitted: Fit, of_images: ArrayLike = 0.0, *, overlap: float = 0.0) -> Pairs:
        """Return what a fit says.

        Args:
            fitted: Of the tables.
            of_images: What the test images add to the variances, [..., rows, rows].
            overlap: See `Fit.differences`.
        """
        differences, of_seeds, df = fitted.differences(overlap=overlap)
        variances = of_seeds + np.asarray(of_images)
        # Satterthwaite's again: what the images add is known as if from very many values.
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.where(of_seeds > 0, df * (variances / of_seeds) ** 2, df)
        return cls(differences, np.sqrt(variances), df, fitted.parts[:, None] == fitted.parts[None, :])

    def halves(self, row: int, *, alpha: float) -> Floats:
        """Return how far the intervals of all rows' differences from one reach to either side, [..., rows].

        They hold together, by Dunnett's two-sided constant; that of the row itself is 0.
        """
        of_row = self.df[..., row]
        limits = constants(self.df.shape[-1] - 1, of_row.ravel(), two_sided=True, alpha=alpha).reshape(of_row.shape)
        found: Floats = limits * self.errors[..., row]
        return found

    def p_values(self, row: int) -> Floats:
        """Return the least alpha of which those intervals leave 0 out, [..., rows]; NaN for the row itself."""
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.abs(self.differences[..., row]) / self.errors[..., row]
        inside = probability(apart.ravel(), self.df.shape[-1] - 1, self.df[..., row].ravel(), two_sided=True)
        found: Floats = np.clip(1 - inside, 0.0, 1.0).reshape(apart.shape)
        return found

    def not_worse(self, *, sign: float, alpha: float) -> NDArray[np.bool_]:
        """Return the rows that no other is better than, by Hsu's comparison with the best, [..., rows].

        With two rows the constant is two-sided: one-sided, an exact tie would leave one of them in a tenth of the
        tables.

        Args:
            sign: 1 where less is better, -1 where more is.
            alpha: Of all rows together.
        """
        num_rows = self.df.shape[-1]
        m, two_sided = num_rows - 1, num_rows == 2
        others = self.known & ~np.eye(num_rows, dtype=bool)
        with np.errstate(divide="ignore", invalid="ignore"):
            behind = np.where(others, sign * self.differences / self.errors, -np.inf)
        # No constant is less than that of infinitely many degrees of freedom, or more than that of the fewest.
        certain, possible = constants(m, [self.df.min(), 1e9], two_sided=two_sided, alpha=alpha)
        out = (behind > certain).any(axis=-1)
        unsure = np.nonzero((behind > possible) & ~out[..., None])
        if len(unsure[0]):
            beyond = probability(behind[unsure], m, self.df[unsure], two_sided=two_sided) > 1 - alpha
            out[tuple(places[beyond] for places in unsure[:-1])] = True
        kept: NDArray[np.bool_] = ~out
        return kept
