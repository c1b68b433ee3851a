"""Which share of the variance of an error each parameter has: functional ANOVA on a random forest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.report.parameters import Parameter

# Of fewer configurations a forest says what it likes.
LEAST = 8
_TREES, _POINTS, _STEPS = 100, 256, 16


@dataclass(frozen=True)
class Importance:
    """What a forest says.

    Attributes:
        shares: Of each parameter alone, by name, in [0, 1].
        together: What is left: it needs several parameters at once.
        explained: R² of configurations that a tree has not seen (out of bag), at most 1; at 0 or less the forest says
            nothing.
    """

    shares: dict[str, float]
    together: float
    explained: float

    @property
    def tells(self) -> bool:
        """Whether the forest knows anything of configurations that it has not seen."""
        return self.explained > 0


def is_known(errors: Mapping[str, float], parameters: Sequence[Parameter]) -> bool:
    """Return whether there is enough to fit a forest to."""
    return bool(parameters) and len(errors) >= LEAST and len(set(errors.values())) > 1


def importance_of(errors: Mapping[str, float], parameters: Sequence[Parameter]) -> Importance:
    """Return the share of each parameter in the variance of the error.

    The variance is that of the forest's prediction where all parameters are drawn from their axes, evenly and
    independently; the share of one is that of the mean over all others. Source: Hutter, Hoos and Leyton-Brown, "An
    efficient approach for assessing hyperparameter importance", ICML 2014.

    Args:
        errors: By configuration.
        parameters: That all of these have, at least one.

    Returns:
        The same for the same configurations: the forest has a seed.
    """
    # A second to import.
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import partial_dependence

    known = np.array([[each.position(name) for each in parameters] for name in errors], dtype=np.float64)
    forest = RandomForestRegressor(_TREES, oob_score=True, random_state=0).fit(known, np.array(list(errors.values())))
    drawn = _drawn(parameters)
    total = float(np.var(forest.predict(drawn)))
    alone = {}
    for at, each in enumerate(parameters):
        means = partial_dependence(
            forest,
            drawn,
            [at],
            kind="average",
            method="brute",
            percentiles=(0, 1),
            grid_resolution=max(_STEPS, len(each.levels) + 1),
        )
        alone[each.name] = float(np.var(means["average"][0])) / total if total > 0 else 0.0
    # What is drawn is a sample: shares may add up to a little more than all.
    scale = max(1.0, sum(alone.values()))
    shares = {name: share / scale for name, share in alone.items()}
    return Importance(shares, max(0.0, 1.0 - sum(shares.values())), float(forest.oob_score_))


def _drawn(parameters: Sequence[Parameter]) -> np.ndarray:
    """Return points that are spread evenly over the axes, of shape (points, parameters): lists keep to their values."""
    generator = np.random.default_rng(0)
    columns = [
        generator.random(_POINTS)
        if each.is_number and len(each.levels) > _STEPS
        else generator.choice([each.position_of(value) for value in each.levels], _POINTS)
        for each in parameters
    ]
    return np.stack(columns, axis=1)
