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
    """

    higher_is_better: bool
    is_fraction: bool


METRICS: dict[str, MetricInfo] = {
    "loss": MetricInfo(higher_is_better=False, is_fraction=False),
    "accuracy": MetricInfo(higher_is_better=True, is_fraction=True),
    "error": MetricInfo(higher_is_better=False, is_fraction=True),
    "f1_micro": MetricInfo(higher_is_better=True, is_fraction=True),
    "f1_macro": MetricInfo(higher_is_better=True, is_fraction=True),
    "balanced_accuracy": MetricInfo(higher_is_better=True, is_fraction=True),
    "auroc": MetricInfo(higher_is_better=True, is_fraction=True),
    "ece": MetricInfo(higher_is_better=False, is_fraction=True),
}
