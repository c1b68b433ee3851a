"""Metrics of resampled test images: one bootstrap, the same images in each resample for all cells.

Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from orchestrator.results.statistics.answers import Answers, class_scores
from orchestrator.results.statistics.ranking import RANKED, Weights, ranked

RESAMPLES = 4000
_SEED = 0
# Numbers in one part of the weights, 16 MB: it stays near the processor, whatever the number of images.
_AT_ONCE = 4_000_000

Measure = Callable[[Answers], Callable[[Weights], NDArray[np.floating]]]
"""Takes a cell's answers, and then how often each image counts in each resample, float32 [n, resamples]; returns the
metric of each resample, NaN where it does not exist."""


def resampled(cells: Sequence[Answers], measure: Measure) -> NDArray[np.float64]:
    """Return a metric of each cell in each resample of the images, or of whole groups of images, [cells, resamples].

    Args:
        cells: One at least, of the same images in the same order.
        measure: Of the metric.
    """
    # What is sorted for a cell is sorted again for each part: kept for all cells, it would outgrow the weights.
    parts = [[measure(cell)(weights) for cell in cells] for weights in _weights(cells[0])]
    return np.concatenate([np.array(part, dtype=np.float64) for part in parts], axis=1)


def measure_of(name: str, label: int | None) -> Measure | None:
    """Return the metric of this name, or that of one class (by its label); None if it cannot be resampled."""
    if label is None and name == "f1_macro":
        return _f1_macro
    if name not in RANKED:
        return None
    return lambda cell: _ranked(cell, name, label)


def _weights(cell: Answers) -> Iterator[Weights]:
    """Yield how often each image is drawn, part by part of the resamples: the same numbers every time."""
    groups = None if cell.groups is None else np.unique(cell.groups, return_inverse=True)[1]
    num_units = len(cell.labels) if groups is None else int(groups.max()) + 1
    at_once = max(1, min(RESAMPLES, _AT_ONCE // len(cell.labels)))
    for start in range(0, RESAMPLES, at_once):
        counts = _counts(num_units, start, min(at_once, RESAMPLES - start))
        yield counts if groups is None else counts[groups]


# Columns and metrics of as many images have the same resamples.
@lru_cache(maxsize=2)
def _counts(num_units: int, start: int, num: int) -> Weights:
    """Return how often each of the units is drawn in so many resamples, the first of which is number `start`."""
    drawn = np.random.default_rng((_SEED, start)).integers(num_units, size=(num_units, num)) * num + np.arange(num)
    counts = np.bincount(drawn.ravel(), minlength=num_units * num).reshape(num_units, num).astype(np.float32)
    counts.flags.writeable = False
    return counts


def _f1_macro(cell: Answers) -> Callable[[Weights], Weights]:
    """The mean of F1 over the classes that occur among labels or predictions."""
    assert cell.predicted is not None
    labels, predicted = cell.labels.astype(np.intp), cell.predicted.astype(np.intp)
    num_classes = int(max(labels.max(), predicted.max())) + 1
    hits = _sums(labels, num_classes, of=predicted == labels)
    both = _sums(labels, num_classes) + _sums(predicted, num_classes)

    def of_resamples(weights: Weights) -> Weights:
        support = both @ weights
        with np.errstate(divide="ignore", invalid="ignore"):
            f1 = np.where(support > 0, 2 * (hits @ weights) / support, 0)
        mean: Weights = f1.sum(axis=0) / (support > 0).sum(axis=0, dtype=np.float32)
        return mean

    return of_resamples


def _ranked(cell: Answers, name: str, label: int | None) -> Callable[[Weights], NDArray[np.floating]]:
    """A metric of the order of the scores: of one class, or the mean over those that occur; of two that of the second.

    AUROC is the same for both of two.
    """
    assert cell.logits is not None
    scores, labels = class_scores(cell.logits), cell.labels
    wanted = [label] if label is not None else [1] if scores.shape[1] == 2 else np.unique(labels).tolist()

    def of_resamples(weights: Weights) -> NDArray[np.floating]:
        total, num = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for each in wanted:
            values = ranked(name, scores[:, each], labels == each, weights)
            exists = np.isfinite(values)
            total += np.where(exists, values, 0)
            num += exists
        with np.errstate(invalid="ignore"):
            return total / num

    return of_resamples


def _sums(places: NDArray[np.intp], num_places: int, *, of: NDArray[np.floating | np.bool_] | None = None) -> csr_array:
    """Return what sums, for each place, a number of each image that is there, [places, n]."""
    numbers = np.ones(len(places), np.float32) if of is None else of.astype(np.float32)
    return csr_array((numbers, (places, np.arange(len(places)))), shape=(num_places, len(places)))
