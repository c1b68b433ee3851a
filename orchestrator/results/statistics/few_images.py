"""What test images on which two rows hardly differ leave unknown: there is no spread where nothing was seen to differ.

Of 30 images a row that is wrong on 3 % of all is wrong on none in two test sets of five. So some images are added on
which the rows would differ, as Agresti and Coull add two successes and two failures to a share ("Approximate is better
than 'exact' for interval estimation of binomial proportions", The American Statistician 52, 1998): here two in favour
of either row, which leave the difference as it is, and bring to its variance that of four images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from orchestrator.results.statistics.answers import Floats
from orchestrator.results.statistics.class_means import Numbers

Pair = tuple[str, str]
# With four added, and all of them up to twelve, no simulated row is called equal within a margin that it is beyond in
# more than 5 % of tables, of two to six rows; with two in 10 %, with none in 44 %. From sixteen on tables are as ever.
ADDED, ENOUGH = 4.0, 16.0
# What is left of a variance by rounding, where all is the same.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Floors:
    """What the test images add to the variance of the difference of each two rows.

    Attributes:
        variances: In the metric's unit squared, of each pair of rows once.
        bounds: The pairs of which it is only known to be at most that, since a row has a single seed.
        seen: On how many images (or groups) the rows of a pair differ, the seeds averaged, of those pairs to which more
            was added than was seen.
    """

    variances: Mapping[Pair, float]
    bounds: Collection[Pair] = frozenset()
    seen: Mapping[Pair, float] = field(default_factory=dict)


def steps(classes: Numbers, groups: Numbers | None, *, label: int | None) -> list[float]:
    """Return what one image (or group) of each class changes in a mean of class means, the most first.

    Args:
        classes: See `ClassMeans.of`; a class that alone counts is there.
        groups: Likewise.
        label: Likewise.
    """
    present = np.unique(classes) if label is None else np.array([label])
    units = np.arange(len(classes)) if groups is None else groups
    counts = sorted(len(np.unique(units[classes == each])) for each in present)
    return [1 / (len(present) * count) for count in counts]


def added_to(spread: Floats, step: float) -> Floats:
    """Return what is added to the variance of each difference.

    Args:
        spread: The variance, over test sets, of the difference of the rows' means, noise of training and all.
        step: What one image changes.
    """
    added: Floats = step**2 * np.clip(ENOUGH - spread / step**2, 0.0, ADDED)
    return added


def is_nothing(spread: Floats, own: Floats) -> bool:
    """Return whether two rows differ on no image at all.

    Args:
        spread: See `added_to`, [rows, rows].
        own: The same of each row's mean by itself, [rows].
    """
    pairs = np.triu_indices(len(own), 1)
    return bool((spread <= _NOTHING * (own[:, None] + own[None, :]))[pairs].any())
