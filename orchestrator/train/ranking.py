"""What the order of the predictions says of each class against the rest: areas, average precision, operating points.

All of it follows from counts of images, which are whole numbers: exact, ties included, nothing interpolated.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, inf, where

from orchestrator.metric_names import OPERATING_POINTS, sensitivity_name, specificity_name

Counts = NDArray[np.int64]
# Logarithms of probabilities that differ by less are equal: the order in which a sum was rounded makes 1e-15 of it, and
# would break ties. The outputs of a model are float32, which tells 1e-7 apart.
_SAME = 1e-11


def rank_classes(log_p: Tensor, labels: Tensor) -> dict[str, NDArray[np.float64]]:
    """The metrics of each class that depend on the order of the predictions alone, one against the rest.

    Args:
        log_p: float64 [n, K]: logarithms of the probabilities.
        labels: int64 [n], of two classes at least.

    Returns:
        ``auroc``, ``average_precision`` and the operating points, each float64 [K] in [0, 1]; NaN for a class that does
        not occur.
    """
    scores = _ordered_scores(log_p).T.contiguous().numpy()
    of_label = labels.numpy()
    present = np.unique(of_label).tolist()
    values = [_rank(scores[label], of_label == label) for label in present]
    found = {name: np.full(len(scores), np.nan) for name in values[0]}
    for label, of_class in zip(present, values, strict=True):
        for name, value in of_class.items():
            found[name][label] = value
    return found


def _ordered_scores(log_p: Tensor) -> Tensor:
    """Whole numbers in the order of the probabilities, float64 like `log_p` in shape, exact also where p rounds to 1.

    That is log p, and 2 log ½ - log (1 - p) above a half, in units of `_SAME`. A confident model's probabilities round
    to 1: ties it does not have.
    """
    log_top, top = log_p.max(dim=1, keepdim=True)
    scores = log_p.scatter(1, top, -inf)
    # Only one class can have more than a half, and what is left of 1 is the sum of the others.
    log_rest = scores.logsumexp(dim=1, keepdim=True)
    scores.scatter_(1, top, where(log_top > log_rest, 2 * math.log(0.5) - log_rest, log_top))
    return scores.div_(_SAME).round_()


def _rank(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> dict[str, float]:
    """The metrics of one class.

    Each score of a positive sample is a threshold; the others separate nothing that these do not. torchmetrics and
    scikit-learn walk along the whole curve, class by class, in many times the time.

    Args:
        scores: float64 [n].
        positive: bool [n]: both kinds occur.
    """
    mine, ordered = np.sort(scores[positive]), np.sort(scores)
    below, not_above = np.searchsorted(ordered, mine, "left"), np.searchsorted(ordered, mine, "right")
    found = len(scores) - below
    hits = len(mine) - np.searchsorted(mine, mine, "left")
    num_others = len(scores) - len(mine)
    # Mann and Whitney's U over the number of pairs. Of two scores that are equal, each counts half: this is twice the
    # pairs that are won, those among the positive samples included.
    won = int(below.sum()) + int(not_above.sum())
    return {
        "auroc": (won - len(mine) ** 2) / (2 * len(mine) * num_others),
        "average_precision": float(np.mean(hits / found)),
        **_operating_points(hits, found - hits, len(mine), num_others),
    }


def _operating_points(hits: Counts, false_alarms: Counts, num_positive: int, num_others: int) -> dict[str, float]:
    """Sensitivity and specificity at the best threshold that each bound allows.

    Args:
        hits: int64: how many positive samples each threshold finds.
        false_alarms: int64: likewise the others.
        num_positive: Of all samples.
        num_others: Likewise.
    """
    values = {}
    for percent in OPERATING_POINTS:
        # In whole numbers: 0.95 is no float. A threshold above all scores finds nothing, and always has the bound.
        specific = 100 * (num_others - false_alarms) >= percent * num_others
        values[sensitivity_name(percent)] = int(hits[specific].max(initial=0)) / num_positive
    for percent in OPERATING_POINTS:
        sensitive = 100 * hits >= percent * num_positive
        values[specificity_name(percent)] = (num_others - int(false_alarms[sensitive].min())) / num_others
    return values
