"""What may be said of the rows of a table over seeds: which differ from the baseline, and which may be the best.

Each statement of a table is right at once with all others in at least 1 - alpha of all tables, also where the rows
differ in their spread, and where cells are missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.results.statistics import power
from orchestrator.results.statistics.dunnett import constants, probability
from orchestrator.results.statistics.fit import Fit, Floats, fit
from orchestrator.results.statistics.verdicts import (
    ALPHA,
    LEAST_DF,
    RESOLUTION,
    ROUGH_DF,
    Analysis,
    RowVerdict,
    Verdict,
)


def analyse(
    values: Mapping[str, Mapping[int, float]],
    *,
    baseline: str | None,
    higher_is_better: bool,
    margin: float | None = None,
    image_variance: Mapping[tuple[str, str], float] | None = None,
    alpha: float = ALPHA,
    resolution: float = RESOLUTION,
    overlap: float = 0.0,
) -> Analysis:
    """Return what may be said of a table, by the procedure of Dunnett and Hsu with a variance for each row.

    Args:
        values: A metric by row and seed; seeds may be missing, and what is not finite counts as missing.
        baseline: The row that the others are compared with; None for none.
        higher_is_better: Of the metric.
        margin: Rows that differ by less than that are as good as equal; None if nobody has said so.
        image_variance: What the test images add to the variance of the difference of two rows, for statements about
            new images like these; of a pair that is not there nothing. None: about these images.
        alpha: The probability that any of the statements is false.
        resolution: The least step between two values, e.g. 1 / the number of images.
        overlap: What the values of a row have in common, as a part of their variance. The folds of a data set are
            trained on the same images for the most part: there it is the number of images of a fold over that of the
            others. Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003).

    Raises:
        ValueError: `baseline` is no row, `margin` is negative, or `alpha` is not between 0 and 1.
    """
    if baseline is not None and baseline not in values:
        raise ValueError(f"baseline {baseline!r} is no row of {sorted(values)}")
    if margin is not None and not margin >= 0:
        raise ValueError(f"margin = {margin}: it is at least 0")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha}: it is between 0 and 1")
    labels, table = _table(values)
    fitted = fit(table, resolution=resolution) if table.size else None
    if fitted is None or len(labels) < 2:
        return _without_spread(labels, table, baseline, alpha)
    differences, variances, df = fitted.differences(overlap=overlap)
    of_images = _of_images(labels, image_variance)
    # Satterthwaite's again: what the images add is known as if from very many values.
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(variances > 0, df * ((variances + of_images) / variances) ** 2, df)
    variances = variances + of_images
    pairs = _Pairs(differences, np.sqrt(variances), df, fitted.parts[:, None] == fitted.parts[None, :])
    sign = -1.0 if higher_is_better else 1.0
    verdicts: dict[str, RowVerdict] = {}
    seen: float | None = None
    if baseline in labels:
        place = labels.index(baseline)
        others = [row for row in range(len(labels)) if row != place]
        of_rows = _against(pairs, others, place, fitted.df, sign=sign, margin=margin, alpha=alpha)
        verdicts = {labels[row]: verdict for row, verdict in zip(others, of_rows, strict=True)}
        seen = _detectable(fitted, of_images, others, place, alpha, overlap=overlap)
    kept = _not_worse(pairs, sign=sign, alpha=alpha) if fitted.df >= LEAST_DF else range(len(labels))
    return Analysis(
        rows=verdicts,
        means=dict(zip(labels, fitted.means.tolist(), strict=True)),
        may_be_best=tuple(labels[row] for row in kept),
        detectable=seen,
        df=fitted.df,
        variance=power.usual_variance(fitted.pooled, fitted.df),
        alpha=alpha,
        image_variance=float(np.median(of_images[~np.eye(len(labels), dtype=bool)])),
    )


@dataclass(frozen=True)
class _Pairs:
    """What is known of each pair of rows, [rows, rows]: the first minus the second.

    Attributes:
        differences: Of their means.
        errors: Standard errors of the differences.
        df: Of the errors.
        known: Whether seeds connect them.
    """

    differences: Floats
    errors: Floats
    df: Floats
    known: np.ndarray[tuple[int, int], np.dtype[np.bool_]]


def _table(values: Mapping[str, Mapping[int, float]]) -> tuple[list[str], Floats]:
    """Return the rows that have a value, and the table [rows, seeds] of those and of the seeds that have one."""
    finite = {row: {seed: v for seed, v in of_row.items() if math.isfinite(v)} for row, of_row in values.items()}
    labels = [row for row, of_row in finite.items() if of_row]
    seeds = sorted({seed for of_row in finite.values() for seed in of_row})
    table = np.array([[finite[row].get(seed, math.nan) for seed in seeds] for row in labels], dtype=float)
    return labels, table.reshape(len(labels), len(seeds))


def _without_spread(labels: list[str], table: Floats, baseline: str | None, alpha: float) -> Analysis:
    """Return what may be said of a table that has no degrees of freedom: the means, and nothing of the rest."""
    means = dict(zip(labels, np.nanmean(table, axis=1).tolist(), strict=True)) if labels else {}
    verdicts = {
        row: RowVerdict(mean - means[baseline], math.nan, math.nan, math.nan, "too few seeds")
        for row, mean in means.items()
        if baseline in means and row != baseline
    }
    return Analysis(verdicts, means, tuple(labels), None, 0, math.nan, alpha)


def _of_images(labels: list[str], image_variance: Mapping[tuple[str, str], float] | None) -> Floats:
    if image_variance is None:
        return np.zeros((len(labels), len(labels)))
    found = [[max(image_variance.get((i, j), 0.0), image_variance.get((j, i), 0.0)) for j in labels] for i in labels]
    return np.array(found, dtype=float)


def _against(
    pairs: _Pairs, others: list[int], place: int, df: int, *, sign: float, margin: float | None, alpha: float
) -> list[RowVerdict]:
    """Return the verdicts of rows against the baseline: simultaneous intervals of Dunnett's."""
    difference, error, of_pair = (each[others, place] for each in (pairs.differences, pairs.errors, pairs.df))
    m = len(others)
    limits = constants(m, of_pair, two_sided=True, alpha=alpha)
    p = np.clip(1 - probability(np.abs(difference) / error, m, of_pair, two_sided=True), 0.0, 1.0)
    verdicts = []
    for at, row in enumerate(others):
        if not pairs.known[row, place]:
            verdicts.append(RowVerdict(math.nan, math.nan, math.nan, math.nan, "too few seeds"))
            continue
        middle, half = float(difference[at]), float(limits[at] * error[at])
        low, high = middle - half, middle + half
        verdict = _verdict(sign * low, sign * high, margin) if df >= LEAST_DF else "too few seeds"
        verdicts.append(RowVerdict(middle, low, high, float(p[at]), verdict, is_rough=bool(of_pair[at] < ROUGH_DF)))
    return verdicts


def _verdict(one: float, other: float, margin: float | None) -> Verdict:
    """Return what an interval says, the ends of which are such that less is better."""
    low, high = min(one, other), max(one, other)
    if margin is not None and -margin <= low and high <= margin:
        return "equal within margin"
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not told apart"


def _not_worse(pairs: _Pairs, *, sign: float, alpha: float) -> list[int]:
    """Return the rows that no other is better than, by Hsu's comparison with the best.

    With two rows the constant is two-sided: one-sided, an exact tie would leave one of them in a tenth of the tables.
    """
    num_rows = len(pairs.df)
    m, two_sided = num_rows - 1, num_rows == 2
    with np.errstate(divide="ignore", invalid="ignore"):
        behind = np.where(pairs.known, sign * pairs.differences / pairs.errors, -np.inf)
    np.fill_diagonal(behind, -np.inf)
    # No constant is less than that of infinitely many degrees of freedom, or more than that of the fewest.
    certain, possible = constants(m, [pairs.df.min(), 1e9], two_sided=two_sided, alpha=alpha)
    out = (behind > certain).any(axis=1)
    unsure = np.argwhere((behind > possible) & ~out[:, None])
    if len(unsure):
        at = tuple(unsure.T)
        beyond = probability(behind[at], m, pairs.df[at], two_sided=two_sided) > 1 - alpha
        out[unsure[beyond, 0]] = True
    return [row for row in range(num_rows) if not out[row]]


def _detectable(
    fitted: Fit, of_images: Floats, others: list[int], place: int, alpha: float, *, overlap: float
) -> float | None:
    """Return the difference from the baseline that the table sees, of the row in the middle, if all spread alike."""
    known = [row for row in others if fitted.parts[row] == fitted.parts[place]]
    if fitted.df < LEAST_DF or not known:
        return None
    variances = (
        power.usual_variance(fitted.pooled, fitted.df) * fitted.shares(overlap=overlap)[known, place]
        + of_images[known, place]
    )
    df = min(2 * float(np.median(fitted.weights)), fitted.df)
    return power.detectable(math.sqrt(float(np.median(variances))), df, m=len(others), alpha=alpha)
