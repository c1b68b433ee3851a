"""What the ladder is, which rungs are refused, what a race costs, and how a budget makes it narrower."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UserError
from orchestrator.search import Rung, check_rungs, epochs_of, ladder, most_epochs, within

SIZES = st.tuples(st.integers(1, 60), st.integers(2, 10), st.integers(1, 100))


@pytest.mark.parametrize(
    ("size", "rungs"),
    [
        ((12, 5, 16), [(1, 4, 8), (2, 8, 4), (2, 16, 2), (5, 16, 1)]),
        ((24, 5, 60), [(1, 15, 16), (2, 30, 8), (2, 60, 4), (5, 60, 1)]),
        ((12, 2, 16), [(1, 4, 8), (2, 8, 4), (2, 16, 1)]),
        ((4, 5, 16), [(1, 4, 2), (5, 16, 1)]),
        ((12, 5, 1), [(1, 1, 8), (2, 1, 2), (5, 1, 1)]),
        ((2, 5, 16), [(5, 16, 1)]),
        ((1, 2, 1), [(2, 1, 1)]),
    ],
)
def test_the_ladder_is_as_decided(size: tuple[int, int, int], rungs: list[tuple[int, int, int]]) -> None:
    assert ladder(*size) == tuple(Rung(*rung) for rung in rungs)


@given(size=SIZES)
def test_each_ladder_can_be_raced_and_two_have_all_seeds(size: tuple[int, int, int]) -> None:
    num, num_seeds, epochs = size
    rungs = ladder(*size)
    check_rungs(rungs, num_configurations=num, num_seeds=num_seeds, epochs=epochs)
    left = [num, *(rung.keep for rung in rungs[:-1])]
    assert all(after < before for before, after in pairwise(left))
    assert left[-1] >= min(2, num)
    most, whole = most_epochs(rungs, num), num * num_seeds * epochs
    assert most <= whole
    if num >= 12 and num_seeds >= 5 and epochs >= 4:
        assert most <= whole / 3


@pytest.mark.parametrize("size", [(0, 5, 16), (12, 1, 16), (12, 0, 16), (12, 5, 0)])
def test_what_is_no_race_has_no_ladder(size: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match="at least"):
        ladder(*size)


@pytest.mark.parametrize(
    ("rungs", "said"),
    [
        ([], "no rung"),
        ([(0, 2, 3), (5, 8, 1)], "rung 1 of the race: seeds = 0"),
        ([(6, 8, 3)], "seeds = 6\n"),
        ([(1, 9, 3)], "epochs = 9\n"),
        ([(1, 2, 0)], "keep = 0"),
        ([(1, 2, 3), (5, 8, 1)], "the warm-up with epoch 2.5"),
        ([(2, 4, 3), (1, 8, 2), (5, 8, 1)], "rung 2 of the race: 1 x 8 after 2 x 4"),
        ([(1, 6, 3), (2, 4, 2), (5, 8, 1)], "Sort the rungs"),
        ([(1, 4, 2), (2, 6, 3), (5, 8, 1)], "rung 2 of the race: keep = 3, of 2"),
        ([(1, 4, 3), (2, 8, 1)], "Add {seeds: 5, epochs: 8, keep: 1}"),
    ],
)
def test_rungs_that_cannot_be_raced_are_refused(rungs: Sequence[tuple[int, int, int]], said: str) -> None:
    with pytest.raises(UserError) as refused:
        check_rungs([Rung(*r) for r in rungs], num_configurations=12, num_seeds=5, epochs=8, warmup_epochs=2.5)
    assert said in str(refused.value)
    assert refused.value.allowed


def test_one_seed_is_no_race() -> None:
    with pytest.raises(UserError, match=r"a race with 1 seed\n.*2 seeds at least"):
        check_rungs([Rung(1, 8, 1)], num_configurations=12, num_seeds=1, epochs=8)


@pytest.mark.parametrize(
    ("num_kept", "epochs"), [(0, 12 * 4 + 8 * (16 - 4) + 4 * 16 + 2 * 48), (1, 48 + 9 * 12 + 5 * 16 + 3 * 48)]
)
def test_what_a_race_costs_at_most(num_kept: int, epochs: int) -> None:
    assert most_epochs(ladder(12, 5, 16), 12, num_kept=num_kept) == epochs


def test_a_budget_lets_fewer_go_on_and_leaves_the_seeds_and_epochs() -> None:
    rungs = ladder(12, 5, 16)
    assert within(rungs, 12, epochs=304) == rungs
    narrow = within(rungs, 12, epochs=303)
    assert narrow == (Rung(1, 4, 7), Rung(2, 8, 3), Rung(2, 16, 1), Rung(5, 16, 1))
    assert most_epochs(narrow, 12) <= 303
    with pytest.raises(UserError, match="124 epochs at least"):
        within(rungs, 12, epochs=123)
    assert most_epochs(within(rungs, 12, epochs=124), 12) == 124


@given(size=SIZES, share=st.floats(0.05, 1.0), num_kept=st.integers(0, 2))
def test_a_race_within_a_budget_costs_no_more(size: tuple[int, int, int], share: float, num_kept: int) -> None:
    num, num_seeds, epochs = size
    rungs = ladder(*size)
    budget = int(share * num * num_seeds * epochs)
    try:
        narrow = within(rungs, num, epochs=budget, num_kept=num_kept)
    except UserError:
        least = tuple(rung._replace(keep=1) for rung in rungs)
        assert most_epochs(least, num, num_kept=num_kept) > budget
        return
    assert most_epochs(narrow, num, num_kept=num_kept) <= budget
    check_rungs(narrow, num_configurations=num, num_seeds=num_seeds, epochs=epochs)


def test_device_hours_become_epochs() -> None:
    assert epochs_of(8, epoch_s=30, num_devices=2) == 480
    assert epochs_of(0.001, epoch_s=30, num_devices=1) == 0
    with pytest.raises(ValueError, match="above 0"):
        epochs_of(1, epoch_s=0, num_devices=1)
