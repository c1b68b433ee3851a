"""What models answered to the test images, as the statistics need it: the classes' scores, and answers of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # at run time it would bring in PyTorch
    from orchestrator.storage import Predictions, SomePredictions

Floats = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
# No logarithm of less: a group all of whose images have a probability of 0 counts as one of that.
_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class OfGroups:
    """Answers for whole groups: the mean of the probabilities of their images, as the metrics of groups have it."""

    order: str
    labels: Labels
    predicted: Labels
    loss: Floats
    confidence: Floats
    logits: Floats
    groups: Labels | None = None


Answers: TypeAlias = "Predictions | SomePredictions | OfGroups"
"""Of one cell; what nobody asks for may be None."""


def of_groups(answers: Answers) -> OfGroups | None:
    """Return the answers for each group, by its number; None if groups or logits are not known."""
    if answers.groups is None or answers.logits is None:
        return None
    _, first, group = np.unique(answers.groups, return_index=True, return_inverse=True)
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    starts = np.cumsum(counts) - counts
    summed = np.add.reduceat(np.exp(_log_probabilities(answers.logits))[order], starts, axis=0)
    mean = np.maximum(summed / counts[:, None], _LEAST)
    labels = answers.labels[first].astype(np.intp)
    return OfGroups(
        order=answers.order,
        labels=labels,
        predicted=mean.argmax(axis=1),
        loss=-np.log(mean[np.arange(len(mean)), labels]),
        confidence=mean.max(axis=1),
        logits=np.log(mean),
    )


def class_scores(logits: NDArray[np.floating[Any]]) -> Floats:
    """Return what has the order of the probabilities, exact also where one rounds to 1, float64 [n, num_classes].

    That is log p, and 2 log ½ - log (1 - p) above a half.
    """
    scores = _log_probabilities(logits)
    images, top = np.arange(len(scores)), scores.argmax(axis=1)
    log_top = scores[images, top]
    others = scores.copy()
    others[images, top] = -np.inf
    # Only one class can have more than a half, and what is left of 1 is the sum of the others.
    log_rest = _log_sum(others)
    scores[images, top] = np.where(log_top > log_rest, 2 * np.log(0.5) - log_rest, log_top)
    return scores


def _log_probabilities(logits: NDArray[np.floating[Any]]) -> Floats:
    wide = logits.astype(np.float64)
    found: Floats = wide - _log_sum(wide)[:, None]
    return found


def _log_sum(exponents: Floats) -> Floats:
    largest = exponents.max(axis=1)
    found: Floats = largest + np.log(np.exp(exponents - largest[:, None]).sum(axis=1))
    return found
