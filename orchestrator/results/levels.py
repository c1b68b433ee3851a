"""How sure statements are, as it is said everywhere: rounded down, so that no confidence is said that is not there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.results.comparison import Column, Comparison


def level(alpha: float) -> str:
    """Return the confidence that an error rate leaves, in percent, e.g. ``95`` or ``98.75``."""
    return f"{math.floor(round(1e4 * (1 - alpha), 6)) / 100:g}"


def told_columns(comparison: Comparison) -> list[Column]:
    """Return the columns of which something is said."""
    return [column for column in comparison.columns if (found := comparison.headline(column)) and found.tells]


def joint_levels(comparison: Comparison, columns: Sequence[Column]) -> tuple[str, str]:
    """Return the confidence with which the statements of a kind hold together, and of what they do.

    Args:
        comparison: The table.
        columns: Those that are told of.

    Returns:
        ``95``, or ``95 or 98.7`` where columns differ, and ``a column``; of a table whose columns share one error rate
        that of all of them together, and ``the table``.
    """
    alphas = sorted({comparison.analyses[column].alpha for column in columns}, reverse=True)
    if comparison.family == "table":
        # Each column has its part of the error rate, whether it is told of or not.
        return level(max(alphas) * len(comparison.columns)), "the table"
    return " or ".join(map(level, alphas)), "a column"
