"""What is kept by a name that several configurations have: of each rung the best of them, in each batch."""

from __future__ import annotations

import pytest

from orchestrator.search import Point, Rung, Search, batches_of, follow, standings

SEEDS = (0, 1)
RUNGS = (Rung(1, 1, 1), Rung(1, 2, 1), Rung(2, 2, 1))
# The baselines are the worst; of them b leads at first, and c later.
CURVES = {"a": [0.1, 0.1], "x": [0.2, 0.2], "b": [0.5, 0.9], "c": [0.6, 0.7], "d": [0.8, 0.8]}
ERRORS = {(name, seed): curve for name, curve in CURVES.items() for seed in SEEDS}


def test_the_best_of_a_group_goes_on_beside_the_others() -> None:
    found = standings(RUNGS, [*CURVES], SEEDS, ERRORS, best_of=[("b", "c", "d")])
    assert [standing.going_on for standing in found] == [("a", "b"), ("a", "b"), ("a",)]
    assert found[0].stopped.keys() == {"x", "c", "d"}


def test_each_group_has_its_own() -> None:
    found = standings(RUNGS, [*CURVES], SEEDS, ERRORS, best_of=[("b", "c"), ("d",), ("x", "a"), ("z",)])
    assert found[0].going_on == ("a", "x", "b", "d")


def searched(kept: str, budget: int | None = None) -> Search:
    waiting = [Point(name) for name in CURVES]
    return follow(
        lambda num, told: [point for point in waiting if point not in {each.point for each in told}][:num],
        batches_of(5, batch=5, rungs_of=lambda _: RUNGS, num_kept=bool(kept), budget=budget),
        name_of=lambda point: point.branch,
        seeds=SEEDS,
        curves=ERRORS,
        kept_as=lambda point: "erm" if point.branch in kept else None,
    )


@pytest.mark.parametrize(("kept", "stopped"), [("bcd", "xcd"), ("d", "xbc"), ("", "xbcd"), ("ax", "bcd")])
def test_a_search_keeps_by_the_names_of_points(kept: str, stopped: str) -> None:
    assert {*searched(kept).decision.stopped} == {*stopped}
    assert searched(kept).decision.winner == "a"


def test_a_budget_counts_what_is_kept() -> None:
    # 5 until epoch 1, two to epoch 2 (one of them because it is kept), and their second seed.
    with_kept = 5 + 2 + 4
    assert searched("bcd", budget=with_kept).races[0].is_over
    with pytest.raises(Exception, match="epochs at least"):
        searched("bcd", budget=with_kept - 1)
    assert searched("", budget=5 + 1 + 2).races[0].is_over
