"""What may be said of several tables: of data sets, and of a table that grows."""

from __future__ import annotations

import pytest

from orchestrator.results.statistics import ALPHA, looks_alpha, partial_conjunction


@pytest.mark.parametrize(
    ("p_values", "claimed"),
    [
        ([], 0),
        ([0.04], 1),
        ([0.05], 0),
        ([0.04, 0.04], 2),  # each by itself would do, and "on one of two" would not: 2 x .04
        ([0.04, 1.0], 0),
        ([0.024, 1.0], 1),
        ([0.001, 0.02, 0.02, 0.9], 3),
        ([1.0, 0.9, 0.0001], 1),
        ([0.001, 0.03, 0.9, 1.0], 1),
    ],
)
def test_a_claim_over_data_sets_allows_for_the_others(p_values: list[float], claimed: int) -> None:
    assert partial_conjunction(p_values) == claimed
    assert partial_conjunction(p_values[::-1]) == claimed


def test_seeds_that_are_added_after_a_look_have_their_price() -> None:
    assert looks_alpha([], range(5)) == ALPHA
    assert looks_alpha([range(5)], range(5)) == ALPHA
    assert looks_alpha([[], range(5)], range(5)) == ALPHA  # nothing could be seen at the first
    assert looks_alpha([range(5)], range(3)) == ALPHA
    assert looks_alpha([range(3), range(5)], range(5)) == pytest.approx(0.013)
    assert looks_alpha([range(3)], range(5), alpha=0.1) == pytest.approx(0.026)
