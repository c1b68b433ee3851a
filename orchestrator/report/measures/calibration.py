"""Whether a model is right as often as it says: in the bins in which ``test/ece`` is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15  # of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predictions by what their confidence is, in `NUM_BINS` bins.

    Attributes:
        counts: How many predictions are in each bin, [NUM_BINS].
        confidences: The sum of their confidences.
        hits: How many of them are right.
    """

    counts: NDArray[np.float64]
    confidences: NDArray[np.float64]
    hits: NDArray[np.float64]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The mean confidence of each bin; NaN of one without predictions."""
        return _ratio(self.confidences, self.counts)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """The share of each bin that is right; NaN of one without predictions."""
        return _ratio(self.hits, self.counts)

    @property
    def calibration_error(self) -> float:
        """The mean gap between the two, over all predictions: ``ece``."""
        return float(np.abs(self.hits - self.confidences).sum() / self.counts.sum())


def reliability(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> Reliability:
    """Sort predictions into bins.

    Args:
        confidence: [n], n at least 1, in [0, 1]: the probability of the predicted class.
        correct: [n]
    """
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    of_each: list[Any] = [np.ones(len(bins)), confidence.astype(float), correct.astype(float)]
    sums = [np.bincount(bins, weights=each, minlength=NUM_BINS).astype(float) for each in of_each]
    return Reliability(*sums)


def together(several: Sequence[Reliability]) -> Reliability:
    """Return that of the predictions of all."""
    parts = [(each.counts, each.confidences, each.hits) for each in several]
    return Reliability(*(np.sum(of_all, axis=0) for of_all in zip(*parts, strict=True)))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = part / whole
    return found
