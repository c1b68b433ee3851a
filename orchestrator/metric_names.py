"""The metrics that a run has: their names, which direction is better, and their unit."""

from __future__ import annotations

from dataclasses import dataclass

# Before the name of a class: its recall, for the test alone.
RECALL = "recall/"


@dataclass(frozen=True)
class MetricInfo:
    """How to read a metric.

    Attributes:
        higher_is_better: The direction in which a model improves.
        is_fraction: It lies in [0, 1], so a table may show it in percent.
        what: What it measures.
    """

    higher_is_better: bool
    is_fraction: bool
    what: str


METRICS: dict[str, MetricInfo] = {
    "loss": MetricInfo(higher_is_better=False, is_fraction=False, what="mean cross-entropy"),
    "accuracy": MetricInfo(higher_is_better=True, is_fraction=True, what="share of the images that are recognised"),
    "error": MetricInfo(higher_is_better=False, is_fraction=True, what="share of the images that are not recognised"),
    "f1_micro": MetricInfo(
        higher_is_better=True,
        is_fraction=True,
        what="F1 over all images; with one label per image the same number as accuracy",
    ),
    "f1_macro": MetricInfo(
        higher_is_better=True,
        is_fraction=True,
        what="mean of the classes' F1, over those that occur among labels or predictions",
    ),
    "balanced_accuracy": MetricInfo(
        higher_is_better=True, is_fraction=True, what="mean of the classes' recall, over those that occur"
    ),
    "auroc": MetricInfo(
        higher_is_better=True,
        is_fraction=True,
        what="area under the ROC curve, one class against the rest, mean over those that occur",
    ),
    "ece": MetricInfo(higher_is_better=False, is_fraction=True, what="expected calibration error, in 15 bins"),
}
