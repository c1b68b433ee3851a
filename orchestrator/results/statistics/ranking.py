"""What the order of the scores says of one class against the rest, where images count more than once or not at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from orchestrator.metric_names import OPERATING_POINTS, sensitivity_name, specificity_name

Weights = NDArray[np.float32]


def ranked(name: str, scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: Weights) -> Weights:
    """Return a metric of the order of the scores for many resamples of the images.

    Args:
        name: ``auroc``, ``average_precision``, or an operating point.
        scores: Of the class, [n].
        positive: Which images are of the class, [n].
        weights: How often each image counts in each resample, float32 [n, resamples].

    Returns:
        [resamples]; NaN where a resample has no image of the class, or no other.
    """
    if not positive.any():
        return np.full(weights.shape[1], np.nan, np.float32)
    # Each score of an image of the class is a threshold; the others separate nothing that these do not.
    thresholds = np.unique(scores[positive])
    at_least = np.searchsorted(thresholds, scores, "right")
    found = _from_the_top(_summed(at_least, positive, weights, len(thresholds)))
    alarms = _from_the_top(_summed(at_least, ~positive, weights, len(thresholds)))
    with np.errstate(divide="ignore", invalid="ignore"):
        if name != "auroc":
            return _METRICS[name](found[1:], alarms[1:], found[0], alarms[0])
        # Of two equal scores, each counts half.
        tied = ~positive & (np.searchsorted(thresholds, scores, "left") < at_least)
        ties = _summed(at_least, tied, weights, len(thresholds))[1:] if tied.any() else np.float32(0)
        own = found[1:] - np.concatenate([found[2:], np.zeros_like(found[:1])])
        won = np.einsum("tb,tb->b", own, alarms[0] - alarms[1:] + ties / 2)
        area: Weights = won / (found[0] * alarms[0])
        return area


def _summed(places: NDArray[np.intp], among: NDArray[np.bool_], weights: Weights, num_thresholds: int) -> Weights:
    """Return how many images of some have each place, [thresholds + 1, resamples]."""
    images = np.flatnonzero(among)
    entries = (np.ones(len(images), np.float32), (places[images], images))
    summed: Weights = csr_array(entries, shape=(num_thresholds + 1, len(places))) @ weights
    return summed


def _from_the_top(summed: Weights) -> Weights:
    """Return how many images are at each place or above it: all of them first."""
    # A tenth of the time of `cumsum`, which goes down the columns.
    for place in range(len(summed) - 2, -1, -1):
        summed[place] += summed[place + 1]
    return summed


# Of what each threshold finds and alarms of falsely, [thresholds, resamples], and of how many there are of either.
_Metric = Callable[[Weights, Weights, Weights, Weights], Weights]


def _average_precision(found: Weights, alarms: Weights, num_found: Weights, num_others: Weights) -> Weights:
    own = found - np.concatenate([found[1:], np.zeros_like(found[:1])])
    precision = np.where(own > 0, found / (found + alarms), 0)
    average: Weights = np.where(num_others > 0, (own * precision).sum(axis=0) / num_found, np.nan)
    return average


def _sensitivity(percent: int) -> _Metric:
    def at_a_specificity(found: Weights, alarms: Weights, num_found: Weights, num_others: Weights) -> Weights:
        # A threshold above all scores finds nothing, and always has the bound.
        allowed = 100 * (num_others - alarms) >= percent * num_others
        best: Weights = np.where(allowed, found, 0).max(axis=0) / num_found
        return np.where(num_others > 0, best, np.nan)

    return at_a_specificity


def _specificity(percent: int) -> _Metric:
    def at_a_sensitivity(found: Weights, alarms: Weights, num_found: Weights, num_others: Weights) -> Weights:
        allowed = 100 * found >= percent * num_found
        least: Weights = np.where(allowed, alarms, np.inf).min(axis=0)
        return np.where(num_found > 0, (num_others - least) / num_others, np.nan)

    return at_a_sensitivity


_METRICS: dict[str, _Metric] = {
    "average_precision": _average_precision,
    **{sensitivity_name(percent): _sensitivity(percent) for percent in OPERATING_POINTS},
    **{specificity_name(percent): _specificity(percent) for percent in OPERATING_POINTS},
}
RANKED: frozenset[str] = frozenset({"auroc", *_METRICS})
