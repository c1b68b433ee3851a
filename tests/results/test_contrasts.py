"""The paired statistics against SciPy's own test, and the cases in which seeds cannot tell."""

import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.experiment import Replicate
from orchestrator.results.contrasts import contrast, interval_of, mean_and_std, t_interval


def by_seed(*values: float) -> dict[Replicate, float]:
    return {Replicate(seed): value for seed, value in enumerate(values)}


def test_the_interval_is_that_of_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    best, other = rng.normal(0.05, 0.004, 5), rng.normal(0.06, 0.004, 5)
    result = contrast(
        "a",
        "b",
        best_values=by_seed(*best.tolist()),
        other_values=by_seed(*other.tolist()),
        higher_is_better=False,
    )
    expected = stats.ttest_rel(other, best).confidence_interval(0.95)
    assert result.margin == pytest.approx(float(np.mean(other - best)))
    assert result.interval == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("best", "other", "verdict"),
    [
        ([0.050, 0.051, 0.052], [0.060, 0.062, 0.061], "separated"),
        ([0.050, 0.051, 0.052], [0.060, 0.045, 0.061], "not separated"),
        ([0.060, 0.062, 0.061], [0.050, 0.051, 0.052], "separated"),  # the "best" is worse on the common seeds
        ([0.05], [0.06], "cannot tell"),
        ([], [0.06], "cannot tell"),
        ([0.05, 0.06, 0.07], [0.06, 0.07, 0.08], "cannot tell"),  # equal differences but for rounding
        ([0.05, 0.06], [0.05, 0.06], "cannot tell"),
    ],
)
def test_verdicts(best: list[float], other: list[float], verdict: str) -> None:
    values = {"best_values": by_seed(*best), "other_values": by_seed(*other)}
    result = contrast("a", "b", **values, higher_is_better=False)
    assert result.verdict == verdict
    assert (result.interval is None) == (verdict == "cannot tell")


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_equally_many_more_errors_with_each_seed_cannot_tell(precision: type[np.floating]) -> None:
    """379 test images, five more errors of one than of the other with each seed, also where a store rounds."""
    best, other = ([float(precision(wrong / 379)) for wrong in counts] for counts in ([89, 99, 105], [94, 104, 110]))
    result = contrast(
        "a",
        "b",
        best_values=by_seed(*best),
        other_values=by_seed(*other),
        higher_is_better=False,
    )
    assert (result.interval, result.verdict) == (None, "cannot tell")


def test_the_same_number_of_errors_is_the_same_mean() -> None:
    """However they are spread over the seeds."""
    rng = np.random.default_rng(3)
    spread = [rng.multinomial(300, [1 / 3] * 3) for _ in range(200)]
    assert len({mean_and_std((counts / 379).tolist())[0] for counts in spread}) == 1
    result = contrast(
        "a",
        "b",
        best_values={Replicate(0): 90 / 379, Replicate(1): 104 / 379, Replicate(2): 106 / 379},
        other_values={Replicate(0): 101 / 379, Replicate(1): 98 / 379, Replicate(2): 101 / 379},
        higher_is_better=False,
    )
    assert result.margin == 0


def test_only_seeds_of_both_are_paired_and_by_seed_not_by_position() -> None:
    result = contrast(
        "a",
        "b",
        best_values={Replicate(0): 0.9, Replicate(1): 0.8, Replicate(2): 0.7, Replicate(5): math.nan},
        other_values={Replicate(2): 0.6, Replicate(1): 0.5, Replicate(3): 0.1, Replicate(5): 0.2},
        higher_is_better=True,
    )
    assert result.seeds == (Replicate(1), Replicate(2))
    assert result.margin == pytest.approx(0.2)
    assert result.interval is not None
    half = stats.t.ppf(0.975, 1) * np.std([0.3, 0.1], ddof=1) / math.sqrt(2)
    assert result.interval == pytest.approx((0.2 - half, 0.2 + half))


def test_margin_is_positive_where_best_is_better_in_either_direction() -> None:
    lower = contrast("a", "b", best_values=by_seed(0.1), other_values=by_seed(0.3), higher_is_better=False)
    higher = contrast("a", "b", best_values=by_seed(0.3), other_values=by_seed(0.1), higher_is_better=True)
    assert lower.margin == pytest.approx(0.2)
    assert higher.margin == pytest.approx(0.2)


def test_the_interval_covers_the_truth_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(1)
    intervals = [t_interval(sample.tolist()) for sample in rng.normal(2.0, 3.0, (4000, 3))]
    covered = sum(interval is not None and interval[0] < 2.0 < interval[1] for interval in intervals)
    assert stats.binomtest(covered, len(intervals), 0.95).pvalue > 1e-3


def test_mean_and_std() -> None:
    assert mean_and_std([0.1, 0.2, 0.4]) == pytest.approx((np.mean([0.1, 0.2, 0.4]), np.std([0.1, 0.2, 0.4], ddof=1)))
    assert mean_and_std([0.1]) == (0.1, None)
    assert mean_and_std([0.1, 0.2, 0.3])[0] == mean_and_std([0.3, 0.1, 0.2])[0]
    for values in ([], [0.1, math.nan], [math.inf, 0.1]):
        mean, std = mean_and_std(values)
        assert math.isnan(mean)
        assert std is None


def test_folds_count_once_each_and_their_interval_is_widened_for_what_they_share() -> None:
    rng = np.random.default_rng(1)
    best, other = rng.normal(0.05, 0.004, (5, 3)), rng.normal(0.06, 0.004, (5, 3))
    values = [
        {Replicate(seed, fold): float(table[fold, seed]) for fold in range(5) for seed in range(3)}
        for table in (best, other)
    ]
    result = contrast("a", "b", best_values=values[0], other_values=values[1], higher_is_better=False, folds=5)
    margins = (other - best).mean(axis=1)
    half = stats.t.ppf(0.975, 4) * margins.std(ddof=1) * math.sqrt(1 / 5 + 1 / 4)
    assert result.interval == pytest.approx((margins.mean() - half, margins.mean() + half))
    plain = stats.ttest_1samp(margins, 0).confidence_interval(0.95)
    assert result.interval[0] < plain.low
    assert result.interval[1] > plain.high


@pytest.mark.parametrize("present", [(0,), (3,), (0, 1), (0, 2, 4), (0, 1, 2, 3, 4)])
def test_some_folds_share_as_much_as_all_of_them_and_one_has_its_seeds(present: tuple[int, ...]) -> None:
    """A fold is trained on the same share of the images, however many of the folds there are values of."""
    margins = np.random.default_rng(2).normal(0.01, 0.004, (5, 3))
    values = {Replicate(seed, fold): float(margins[fold, seed]) for fold in present for seed in range(3)}
    interval = interval_of(values, folds=5)
    each = margins[list(present)].mean(axis=1) if len(present) > 1 else margins[present[0]]
    shared = 1 / 4 if len(present) > 1 else 0.0
    half = stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) * math.sqrt(1 / len(each) + shared)
    assert interval == pytest.approx((each.mean() - half, each.mean() + half))
