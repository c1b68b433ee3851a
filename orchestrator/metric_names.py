"""The metrics that a run has: their names, which direction is better, and their unit."""

from __future__ import annotations

from dataclasses import dataclass

# Sensitivity is the share of a class's images that a threshold finds, specificity the share of the others that it
# leaves out; in percent, where the threshold is taken.
OPERATING_POINTS = (80, 90, 95)
# Before the name of a metric of the test: it is of whole groups, such as lesions, in place of their images.
GROUP = "group/"
RECALL = "recall"
# Of more classes, each class has its recall alone as a metric, and all of them in the table: every metric of every run
# is read whenever a sweep is looked at, which with 100 more for each of 1,000 runs takes 5 s more.
CLASS_METRICS_UP_TO = 10


@dataclass(frozen=True)
class MetricInfo:
    """How to read a metric.

    Attributes:
        higher_is_better: The direction in which a model improves.
        is_fraction: It lies in [0, 1], so a table may show it in percent.
        what: What it measures.
        each_epoch: MLflow gets it of every epoch; else of the tested epoch alone, since an epoch's row costs as much
            as any.
    """

    higher_is_better: bool
    is_fraction: bool
    what: str
    each_epoch: bool = True


def sensitivity_name(percent: int) -> str:
    """The metric's name: sensitivity where the specificity is at least so many percent."""
    return f"sensitivity_at_specificity_{percent}"


def specificity_name(percent: int) -> str:
    """The metric's name: specificity where the sensitivity is at least so many percent."""
    return f"specificity_at_sensitivity_{percent}"


def _operating_points() -> dict[str, MetricInfo]:
    ways = ((sensitivity_name, "sensitivity", "specificity"), (specificity_name, "specificity", "sensitivity"))
    return {
        name(percent): MetricInfo(
            higher_is_better=True,
            is_fraction=True,
            what=f"highest {best} at a {bound} of at least {percent} %",
            each_epoch=False,
        )
        for name, best, bound in ways
        for percent in OPERATING_POINTS
    }


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
    "average_precision": MetricInfo(
        higher_is_better=True,
        is_fraction=True,
        what="average precision, one class against the rest",
    ),
    **_operating_points(),
}
# What each class has of its own, one against the rest.
CLASS_METRICS: dict[str, MetricInfo] = {
    RECALL: MetricInfo(higher_is_better=True, is_fraction=True, what="share of the class's images that is recognised"),
    **{name: METRICS[name] for name in ("auroc", "average_precision", *_operating_points())},
}
