"""What a model that has learned nothing would have: what a failed training counts as, where it is counted."""

from __future__ import annotations

import math

from orchestrator.metric_names import GROUP, OPERATING_POINTS, RECALL, sensitivity_name, specificity_name
from orchestrator.results.metric import Metric

# Where nothing is learned a threshold trades the one for the other, and their sum is 1.
_OPERATING = {
    name(percent): 1 - percent / 100 for name in (sensitivity_name, specificity_name) for percent in OPERATING_POINTS
}


def chance_level(metric: Metric, num_classes: int) -> float | None:
    """Return the metric where each class is as probable as any other, whatever the image; None where that says little.

    But for the average precision it is the same however frequent the classes are: that of a class is its frequency, of
    which the mean over all classes alone is known. Of two classes it is that of the second.

    Args:
        metric: E.g. ``test/error``.
        num_classes: Of the data set, at least 2.
    """
    name, _, class_name = metric.name.removeprefix(GROUP).partition("/")
    share = 1 / num_classes
    levels = {"auroc": 0.5, RECALL: share, **_OPERATING}
    if not class_name:
        shares = ("accuracy", "f1_micro", "balanced_accuracy", *(["average_precision"] if num_classes > 2 else []))
        levels |= {"error": 1 - share, "loss": math.log(num_classes), **dict.fromkeys(shares, share)}
    return levels.get(name)
