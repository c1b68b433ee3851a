"""What may be said of a table: against its definition, against printed tables, and at its ends."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import statistics_reference as reference
from numpy.random import Generator, default_rng

from orchestrator.results.statistics import Analysis, analyse
from orchestrator.results.statistics.dunnett import constants, probability
from orchestrator.results.statistics.fit import fit
from orchestrator.results.statistics.pairs import Pairs
from orchestrator.results.statistics.power import seeds_needed

Values = dict[str, dict[int, float]]


def as_values(table: np.ndarray) -> Values:
    """Rows ``r0``, ``r1`` and so on of [rows, seeds]; what is NaN is left out."""
    return {f"r{i}": {s: float(v) for s, v in enumerate(row) if math.isfinite(v)} for i, row in enumerate(table)}


def drawn(rng: Generator, num_rows: int, num_seeds: int, *, missing: float = 0.0) -> np.ndarray:
    table = rng.normal(0, 0.3, (num_rows, num_seeds)) + rng.normal(0, 0.3, (1, num_seeds))
    table[rng.random(table.shape) < missing] = math.nan
    return table


def said(table: np.ndarray, **options: object) -> Analysis:
    return analyse(as_values(table), **({"baseline": "r0", "higher_is_better": False} | options))  # type: ignore[arg-type]


# Dunnett's tables, two-sided, 5 %: rounded up where in doubt.
@pytest.mark.parametrize(("m", "df", "printed"), [(2, 10, 2.57), (5, 10, 2.99), (3, 20, 2.54), (5, 20, 2.74)])
def test_the_constants_are_the_printed_ones(m: int, df: int, printed: float) -> None:
    (found,) = constants(m, df, two_sided=True, alpha=0.05)
    assert found == pytest.approx(printed, abs=0.006)


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("m", [1, 5, 53])
def test_the_constants_are_exact_for_all_degrees_of_freedom(m: int, two_sided: bool) -> None:
    df = np.geomspace(1, 2000, 60)
    found = constants(m, df, two_sided=two_sided, alpha=0.05)
    assert np.abs(probability(found, m, df, two_sided=two_sided) - 0.95).max() < 1e-10
    assert all(more > less for more, less in pairwise(found))


# The definition takes a fifth of a second for each.
@pytest.mark.parametrize("wanted", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_it_agrees_with_the_definition(wanted: int) -> None:
    rng, num_tables = default_rng(wanted), 0
    while num_tables < wanted:
        num_rows, num_seeds = (int(rng.integers(2, 7 if num_tables % 10 else 9)) for _ in range(2))
        table = drawn(rng, num_rows, num_seeds, missing=0.2 * (num_tables % 2))
        fitted = reference.fit(table) if np.isfinite(table).any(axis=0).all() else None
        found = said(table)
        if fitted is None or not np.isfinite(table).any(axis=1).all() or found.df < 2:
            continue
        if any(math.isnan(verdict.low) for verdict in found.rows.values()):
            continue  # two parts without a seed in common: the definition says nothing of them
        num_tables += 1
        for row, expected in reference.against_baseline(fitted).items():
            verdict = found.rows[f"r{row}"]
            got = (verdict.difference, verdict.low, verdict.high, verdict.p)
            assert got == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert (verdict.verdict == "not told apart") == (expected[1] <= 0 <= expected[2])
        assert found.may_be_best == tuple(f"r{row}" for row in reference.may_be_best(fitted))


def test_it_is_the_same_to_the_bit_every_time_and_in_any_order() -> None:
    values = as_values(drawn(default_rng(0), 6, 5, missing=0.1))
    shuffled = {row: dict(reversed(of_row.items())) for row, of_row in values.items()}
    first, second = (analyse(each, baseline="r0", higher_is_better=False) for each in (values, shuffled))
    assert repr(first) == repr(second)


def test_many_tables_at_once_say_what_each_says_alone() -> None:
    rng = default_rng(9)
    tables = rng.normal(0, 0.3, (20, 5, 4))
    tables[:, 1] -= 1
    tables[:, 2, 3] = tables[:, 4, 0] = math.nan
    fitted = fit(tables, resolution=1e-6)
    assert fitted is not None
    pairs = Pairs.of(fitted)
    halves, p, kept = pairs.halves(0, alpha=0.05), pairs.p_values(0), pairs.not_worse(sign=1.0, alpha=0.05)
    for at, table in enumerate(tables):
        alone = said(table)
        assert alone.may_be_best == tuple(f"r{row}" for row in np.flatnonzero(kept[at]))
        for row in range(1, 5):
            verdict, middle = alone.rows[f"r{row}"], pairs.differences[at, row, 0]
            expected = (middle - halves[at, row], middle + halves[at, row], p[at, row])
            assert (verdict.low, verdict.high, verdict.p) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_better_is_what_the_metric_says() -> None:
    table = drawn(default_rng(1), 3, 6)
    table[1] -= 5
    assert said(table).rows["r1"].verdict == "better"
    assert said(table).may_be_best == ("r1",)
    assert said(table, higher_is_better=True).rows["r1"].verdict == "worse"
    assert set(said(table, higher_is_better=True).may_be_best) == {"r0", "r2"}
    turned = said(-table, higher_is_better=True)
    assert turned.rows["r1"].difference == pytest.approx(-said(table).rows["r1"].difference)
    assert turned.may_be_best == ("r1",)


def test_within_the_margin_is_equal_and_that_is_more_than_not_told_apart() -> None:
    table = drawn(default_rng(2), 3, 8)
    low, high = said(table).rows["r1"].low, said(table).rows["r1"].high
    widest = max(-low, high)
    assert said(table, margin=1.01 * widest).rows["r1"].verdict == "equal within margin"
    assert said(table, margin=0.99 * widest).rows["r1"].verdict == "not told apart"


@pytest.mark.parametrize("num_rows", [1, 2, 5])
def test_one_seed_tells_nothing_and_rules_nobody_out(num_rows: int) -> None:
    table = drawn(default_rng(3), num_rows, 1)
    found = said(table)
    assert {verdict.verdict for verdict in found.rows.values()} == ({"too few seeds"} if num_rows > 1 else set())
    assert found.may_be_best == tuple(f"r{row}" for row in range(num_rows))
    assert found.detectable is None
    assert found.seeds_needed(1.0) is None


def test_two_rows_with_two_seeds_have_too_few() -> None:
    """An interval of one degree of freedom would be shown, and is of no use."""
    found = said(drawn(default_rng(4), 2, 2))
    assert found.rows["r1"].verdict == "too few seeds"
    assert found.may_be_best == ("r0", "r1")
    assert said(drawn(default_rng(4), 4, 2)).rows["r1"].is_rough


def test_rows_without_a_seed_in_common_are_not_compared() -> None:
    values = {"erm": {0: 1.0, 1: 2.0, 2: 1.5}, "mixup": {0: 1.1, 1: 1.9, 2: 1.4}, "other": {7: 0.1, 8: 0.2}}
    found = analyse(values, baseline="erm", higher_is_better=False)
    assert found.rows["other"].verdict == "too few seeds"
    assert math.isnan(found.rows["other"].difference)
    assert "other" in found.may_be_best
    assert math.isfinite(found.rows["mixup"].low)


def test_what_is_not_finite_counts_as_missing() -> None:
    table = drawn(default_rng(5), 3, 5)
    holed = as_values(table) | {"nothing": {0: math.nan}, "empty": {}}
    holed["r1"][3] = math.inf
    found = analyse(holed, baseline="r0", higher_is_better=False)
    del holed["r1"][3], holed["nothing"], holed["empty"]
    assert repr(found) == repr(analyse(holed, baseline="r0", higher_is_better=False))


def test_rows_of_the_same_values_are_not_told_apart_by_rounding() -> None:
    """Errors of few images, the same for every seed: the spread is not zero, it is below one image."""
    values = {"a": dict.fromkeys(range(3), 0.10), "b": dict.fromkeys(range(3), 0.10 + 1 / 1000)}
    assert analyse(values, baseline="a", higher_is_better=False).rows["b"].verdict == "worse"
    coarse = analyse(values, baseline="a", higher_is_better=False, resolution=1 / 360).rows["b"]
    assert coarse.verdict == "not told apart"


def test_test_images_widen_the_intervals_and_no_number_of_seeds_narrows_that() -> None:
    table = drawn(default_rng(6), 4, 8)
    pairs = {(f"r{i}", f"r{j}"): 0.04 for i in range(4) for j in range(i)}
    these, new = said(table), said(table, image_variance=pairs)
    for row in ("r1", "r2", "r3"):
        assert new.rows[row].high - new.rows[row].low > these.rows[row].high - these.rows[row].low
        assert new.rows[row].difference == these.rows[row].difference
    assert these.detectable is not None
    assert new.detectable is not None
    assert new.detectable > these.detectable
    assert set(these.may_be_best) <= set(new.may_be_best)
    assert these.seeds_needed(0.5) is not None
    assert new.seeds_needed(0.5) is None


def test_what_images_add_is_known_as_if_from_many_values() -> None:
    """With two rows and five seeds the constant is 2.3 of the seeds' own 8 degrees of freedom, and 2.0 of many."""
    table = drawn(default_rng(10), 2, 5)
    mostly_images = said(table, image_variance={("r0", "r1"): 100.0})
    assert mostly_images.detectable == pytest.approx((1.96 + 0.842) * 10, rel=0.01)


# 0.5 points with a power of 0.8, six rows.
@pytest.mark.parametrize(("sigma", "seeds"), [(0.1, 2), (0.2, 5), (0.3, 10), (0.5, 24), (1.0, 92)])
def test_the_seeds_that_half_a_point_needs(sigma: float, seeds: int) -> None:
    assert seeds_needed(0.5, variance=sigma**2, num_rows=6, alpha=0.05) == seeds
    assert seeds_needed(-0.5, variance=sigma**2, num_rows=6, alpha=0.05) == seeds


def test_nobody_trains_more_than_a_thousand_seeds() -> None:
    assert seeds_needed(0.001, variance=1.0, num_rows=6, alpha=0.05) is None
    assert seeds_needed(0.0, variance=1.0, num_rows=6, alpha=0.05) is None
    assert seeds_needed(0.5, variance=0.0, num_rows=6, alpha=0.05) == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"baseline": "cutmix"}, "'cutmix' is no row"),
        ({"margin": -0.1}, "margin = -0.1: it is at least 0"),
        ({"margin": math.nan}, "margin = nan"),
        ({"alpha": 0.0}, "alpha = 0.0: it is between 0 and 1"),
    ],
)
def test_wrong_input_is_named(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        said(drawn(default_rng(7), 2, 3), **options)


def test_without_a_baseline_the_best_is_still_looked_for() -> None:
    table = drawn(default_rng(8), 3, 5)
    table[2] -= 5
    found = said(table, baseline=None)
    assert (found.rows, found.may_be_best, found.detectable) == ({}, ("r2",), None)
