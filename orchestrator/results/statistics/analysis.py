"""What may be said of the rows of a table over seeds: which differ from the baseline, and which may be the best.

There are two kinds of statements, Dunnett's against the baseline and Hsu's of the best. All of one kind are right at
once in about 1 - alpha of all tables, also where the rows differ in their spread, and where cells are missing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from orchestrator.results.statistics import power
from orchestrator.results.statistics.fit import Fit, Floats, fit
from orchestrator.results.statistics.pairs import Pairs
from orchestrator.results.statistics.verdicts import (
    ALPHA,
    LEAST_DF,
    RESOLUTION,
    ROUGH_DF,
    ROUGH_VALUES,
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
    image_bounds: Collection[tuple[str, str]] = (),
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
        image_bounds: Of which pairs that is too high, so that it says nothing about other tables.
        alpha: The probability that any statement of a kind is false.
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
        return _without_spread(labels, table, baseline, alpha, overlap)
    of_images = _of_images(labels, image_variance)
    pairs = Pairs.of(fitted, of_images, overlap=overlap)
    sign = -1.0 if higher_is_better else 1.0
    verdicts: dict[str, RowVerdict] = {}
    seen: float | None = None
    if baseline in labels:
        place = labels.index(baseline)
        of_rows = _against(pairs, place, fitted.df, sign=sign, margin=margin, alpha=alpha)
        few = np.isfinite(table).sum(axis=1) <= ROUGH_VALUES
        verdicts = {
            row: replace(verdict, is_rough=verdict.is_rough or bool(is_few or few[place]))
            for row, verdict, is_few in zip(labels, of_rows, few, strict=True)
            if row != baseline
        }
        seen = _detectable(fitted, of_images, place, alpha, overlap=overlap)
    kept = pairs.not_worse(sign=sign, alpha=alpha) if fitted.df >= LEAST_DF else np.ones(len(labels), dtype=bool)
    return Analysis(
        rows=verdicts,
        means=dict(zip(labels, _means(fitted, table).tolist(), strict=True)),
        may_be_best=tuple(row for row, is_kept in zip(labels, kept, strict=True) if is_kept),
        detectable=seen,
        df=fitted.df,
        variance=power.usual_variance(float(fitted.pooled), fitted.df),
        alpha=alpha,
        image_variance=_usual(labels, of_images, image_bounds),
        overlap=overlap,
    )


def _table(values: Mapping[str, Mapping[int, float]]) -> tuple[list[str], Floats]:
    """Return the rows that have a value, and the table [rows, seeds] of those and of the seeds that have one."""
    finite = {row: {seed: v for seed, v in of_row.items() if math.isfinite(v)} for row, of_row in values.items()}
    labels = [row for row, of_row in finite.items() if of_row]
    seeds = sorted({seed for of_row in finite.values() for seed in of_row})
    table = np.array([[finite[row].get(seed, math.nan) for seed in seeds] for row in labels], dtype=float)
    return labels, table.reshape(len(labels), len(seeds))


def _without_spread(labels: list[str], table: Floats, baseline: str | None, alpha: float, overlap: float) -> Analysis:
    """Return what may be said of a table that has no degrees of freedom: the means, and nothing of the rest."""
    means = dict(zip(labels, np.nanmean(table, axis=1).tolist(), strict=True)) if labels else {}
    verdicts = {
        row: RowVerdict(mean - means[baseline], math.nan, math.nan, math.nan, "too few seeds")
        for row, mean in means.items()
        if baseline in means and row != baseline
    }
    return Analysis(verdicts, means, tuple(labels), None, 0, math.nan, alpha, overlap=overlap)


def _means(fitted: Fit, table: Floats) -> Floats:
    """Return the mean of each row: of rows that no seeds connect nobody knows what seeds that they lack are worth."""
    return fitted.means if len(set(fitted.parts)) == 1 else np.asarray(np.nanmean(table, axis=1), dtype=np.float64)


def _of_images(labels: list[str], image_variance: Mapping[tuple[str, str], float] | None) -> Floats:
    if image_variance is None:
        return np.zeros((len(labels), len(labels)))
    found = [[max(image_variance.get((i, j), 0.0), image_variance.get((j, i), 0.0)) for j in labels] for i in labels]
    return np.array(found, dtype=float)


def _usual(labels: list[str], of_images: Floats, bounds: Collection[tuple[str, str]]) -> float:
    """Return what images add in the pair in the middle, of those where that is known."""
    pairs = np.array([[i != j and (i, j) not in bounds and (j, i) not in bounds for j in labels] for i in labels])
    # A spread is known of two rows at least, which have two seeds: their pair is no bound.
    return float(np.median(of_images[pairs])) if pairs.any() else float(np.max(of_images))


def _against(pairs: Pairs, place: int, df: int, *, sign: float, margin: float | None, alpha: float) -> list[RowVerdict]:
    """Return the verdict of each row against that of the baseline's place; its own says nothing."""
    halves, p = pairs.halves(place, alpha=alpha), pairs.p_values(place)
    verdicts = []
    for row, is_known in enumerate(pairs.known[place]):
        if not is_known:
            verdicts.append(RowVerdict(math.nan, math.nan, math.nan, math.nan, "too few seeds"))
            continue
        middle, half = float(pairs.differences[row, place]), float(halves[row])
        low, high = middle - half, middle + half
        verdict = _verdict(sign * low, sign * high, margin) if df >= LEAST_DF else "too few seeds"
        is_rough = bool(pairs.df[row, place] < ROUGH_DF)
        verdicts.append(RowVerdict(middle, low, high, float(p[row]), verdict, is_rough=is_rough))
    return verdicts


def _verdict(one: float, other: float, margin: float | None) -> Verdict:
    """Return what an interval says, the ends of which are such that less is better."""
    low, high = min(one, other), max(one, other)
    if margin is not None and -margin <= low and high <= margin:
        return "equal within margin"
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not told apart"


def _detectable(fitted: Fit, of_images: Floats, place: int, alpha: float, *, overlap: float) -> float | None:
    """Return the difference from the baseline that the table sees, of the row in the middle, if all spread alike."""
    others = [row for row, part in enumerate(fitted.parts) if part == fitted.parts[place] and row != place]
    if not others:
        return None
    of_seeds = power.usual_variance(float(fitted.pooled), fitted.df) * fitted.shares(overlap=overlap)[others, place]
    middle, total = float(np.median(of_seeds)), float(np.median(of_seeds + of_images[others, place]))
    df = power.df_with_images(min(2 * float(np.median(fitted.weights)), fitted.df), middle, total)
    return power.detectable(math.sqrt(total), df, m=len(fitted.parts) - 1, alpha=alpha)
