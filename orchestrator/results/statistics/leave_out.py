"""What a choice would have brought on seeds that took no part in it."""

from __future__ import annotations

import math
from collections.abc import Mapping


def leave_one_seed_out(
    validation: Mapping[str, Mapping[int, float]], test: Mapping[str, Mapping[int, float]], *, higher_is_better: bool
) -> float | None:
    """Return the mean over seeds of the test values that the choice by all other seeds' validation brings.

    The test mean of what was chosen by the same trainings is too good: trainings that are lucky in validation are lucky
    in the test, too.

    Args:
        validation: The metric by configuration and seed; the same finite seeds in each. The first of equal ones is
            chosen.
        test: Likewise.
        higher_is_better: Of both.

    Returns:
        None with fewer than two seeds, or where a value is missing or not finite.
    """
    seeds = list(dict.fromkeys(seed for values in validation.values() for seed in values))
    sign = -1.0 if higher_is_better else 1.0
    found = []
    for left_out in seeds if len(seeds) > 1 else ():
        # Rounded, so that ties are ties: see `mean_and_std`.
        means = {
            name: round(math.fsum(values[seed] for seed in seeds if seed != left_out) / (len(seeds) - 1), 9)
            for name, values in validation.items()
        }
        chosen = min(means, key=lambda name: sign * means[name])
        found.append(test[chosen].get(left_out, math.nan))
    mean = math.fsum(found) / len(found) if found else math.nan
    return mean if math.isfinite(mean) else None
