"""Two configurations against each other over seeds: what the difference is, and whether these seeds can tell."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.experiment import Replicate

CONFIDENCE = 0.95
# Values that differ by less are the same but for rounding: one image of a million is more.
RESOLUTION = 1e-6
Verdict = Literal["separated", "not separated", "cannot tell"]


@dataclass(frozen=True)
class Contrast:
    """One configuration against another, paired over the seeds that both have.

    Attributes:
        best: Label of the configuration that is said to be better.
        other: Label of the one it is compared with.
        seeds: The replicates both have, i.e. the pairs.
        margin: Mean advantage of `best` in the metric's unit, positive where it is better; None without a pair.
        interval: 95 % Student t interval of the margin; None if the pairs do not allow one.
        verdict: ``separated`` if the interval excludes 0; ``cannot tell`` without an interval.
    """

    best: str
    other: str
    seeds: tuple[Replicate, ...]
    margin: float | None
    interval: tuple[float, float] | None
    verdict: Verdict

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of the pairs, each once; empty where the data set is not cut into folds."""
        return tuple(dict.fromkeys(seed.fold for seed in self.seeds if seed.fold is not None))


def contrast(
    best: str,
    other: str,
    *,
    best_values: Mapping[Replicate, float],
    other_values: Mapping[Replicate, float],
    higher_is_better: bool,
    folds: int | None = None,
) -> Contrast:
    """Return the contrast of two configurations from their values by seed, and by fold where there are some; pairs that
    are not finite do not count.

    `folds` is how many the data set is cut into, whether or not each has values; None if it is not.

    They are paired because a seed fixes the initial weights and the order of the samples of both, and a fold the images
    that both are tested on.
    """
    sign = 1.0 if higher_is_better else -1.0
    margins = {
        replicate: sign * (value - other_values[replicate])
        for replicate, value in best_values.items()
        if replicate in other_values and math.isfinite(value - other_values[replicate])
    }
    seeds = tuple(margins)
    margin = mean_and_std(margins.values())[0] if margins else None
    interval = interval_of(margins, folds=folds)
    if interval is None:
        return Contrast(best, other, seeds, margin, None, "cannot tell")
    excludes_zero = interval[0] > 0 or interval[1] < 0
    return Contrast(best, other, seeds, margin, interval, "separated" if excludes_zero else "not separated")


def interval_of(margins: Mapping[Replicate, float], *, folds: int | None) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of differences, by seed or by fold; None if they do not allow one.

    The folds of a data set are trained on the same images for the most part, so their differences are alike, and the
    plain t interval too narrow. Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning
    52 (2003): the variance of the mean is s² (1/n + n_test/n_train). A fold is tested on 1/folds of the images and
    trained on the others, whether n is all of the folds or some. The seeds of a fold are averaged first; those of one
    fold alone are seeds like any others.
    """
    by_fold: dict[int | None, list[float]] = {}
    for replicate, margin in margins.items():
        by_fold.setdefault(replicate.fold, []).append(margin)
    if len(by_fold) < 2:
        return t_interval(list(margins.values()))
    assert folds is not None, "the data set is cut into folds"
    return t_interval([statistics.fmean(values) for values in by_fold.values()], shared=1 / (folds - 1))


def t_interval(values: Sequence[float], *, shared: float = 0.0) -> tuple[float, float] | None:
    """Return the 95 % Student t interval of the mean; None for fewer than two values, or if they are all the same.

    Args:
        values: What the mean is of.
        shared: The correction for training sets that overlap, ``n_test / n_train``; 0 for values that are independent.

    Equal differences come from a small test set (counts out of a few hundred), not from a spread of zero, and an
    interval without width would call anything separated.
    """
    if len(values) < 2 or max(values) - min(values) < RESOLUTION:
        return None
    from scipy.special import stdtrit  # half a second, which a command that shows no interval need not pay

    mean = statistics.fmean(values)
    quantile = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    half = quantile * statistics.stdev(values) * math.sqrt(1 / len(values) + shared)
    return mean - half, mean + half


def mean_and_std(values: Iterable[float]) -> tuple[float, float | None]:
    """Return mean (NaN without values or if one is not finite) and standard deviation (ddof=1; None below two)."""
    known = list(values)
    if not known or not all(map(math.isfinite, known)):
        return math.nan, None
    # Rounded far below `RESOLUTION`, so that ties are ties: shares of a test set are no binary fractions, and the means
    # of the same number of errors, spread differently over the seeds, would differ in the last bit.
    return round(statistics.fmean(known), 9), statistics.stdev(known) if len(known) > 1 else None
