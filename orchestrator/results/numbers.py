"""The numbers of a table as they are shown."""

from __future__ import annotations

import math

from orchestrator.results.metric import Metric
from orchestrator.results.statistics import RowVerdict


def number(value: float, metric: Metric) -> str:
    """A metric's value as shown: fractions in percent with two decimals, others with four."""
    if not math.isfinite(value):
        return "nan"
    return f"{100 * value:z.2f}" if metric.is_fraction else f"{value:z.4f}"


def points(value: float, metric: Metric) -> str:
    """A difference as shown, with its unit."""
    return f"{number(value, metric)}{unit(metric)}"


def unit(metric: Metric) -> str:
    """What stands behind a difference."""
    return " points" if metric.is_fraction else ""


def against(verdict: RowVerdict | None, metric: Metric) -> tuple[str, str]:
    """The difference from the baseline and its interval, as shown; empty where there is none."""
    if verdict is None or not math.isfinite(verdict.difference):
        return "", ""
    difference = number(verdict.difference, metric)
    difference = f"+{difference}" if float(difference) > 0 else difference
    interval = f"{number(verdict.low, metric)} to {number(verdict.high, metric)}"
    return difference, interval if math.isfinite(verdict.low) else ""
