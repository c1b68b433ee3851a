"""Who is stopped, who wins, and what is to be trained: as the rule says, and the same whatever happens meanwhile."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from random import Random
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.search import Decision, Leg, Rung, Stop, decide, ladder, most_epochs, ranking, standings

Cell = tuple[str, int]
Curves = dict[Cell, list[float]]
SEEDS = [7, 3, 5]
# Of one number: hypothesis would keep every single draw.
CHANCE = st.integers(0, 2**32 - 1).map(Random)
RUNGS = (Rung(1, 2, 2), Rung(3, 4, 1))


def of(**errors: Sequence[Sequence[float]]) -> Curves:
    """Curves of configurations with the seeds of the file, in its order."""
    return {
        (name, seed): list(curve) for name, rows in errors.items() for seed, curve in zip(SEEDS, rows, strict=False)
    }


def test_a_rung_asks_for_its_first_seeds_in_the_order_of_the_file_and_for_what_is_missing() -> None:
    found = decide(RUNGS, ["a", "b", "c"], SEEDS, of(a=[[0.1]], b=[[0.2, 0.2]]))
    assert found == Decision((Leg("a", 7, 2), Leg("c", 7, 2)), {}, None)


def test_the_worst_of_a_rung_are_stopped_and_the_others_train_all_seeds() -> None:
    found = decide(RUNGS, ["a", "b", "c"], SEEDS, of(a=[[0.1, 0.3]], b=[[0.1, 0.1]], c=[[0.1, 0.2]]))
    assert found.stopped == {"a": Stop(rung=1, place=3, mean=0.3, cut=0.2)}
    assert found.legs == tuple(Leg(name, seed, 4) for name in "bc" for seed in SEEDS)
    assert found.winner is None


def test_the_best_mean_over_the_same_seeds_wins_and_who_came_to_the_end_is_not_stopped() -> None:
    good, bad, luck = [0.5, 0.3, 0.3, 0.2], [0.5, 0.4, 0.3, 0.4], [0.5, 0.1, 0.1, 0.1]
    found = decide(RUNGS, ["a", "b"], SEEDS, of(a=[luck, bad, bad], b=[good, good, good]))
    assert found == Decision((), {}, "b")


def test_the_value_at_the_rung_counts_and_neither_a_better_one_before_nor_what_came_after() -> None:
    further = of(a=[[0.0, 0.3, 0.0, 0.0]], b=[[0.9, 0.2, 0.9]], c=[[0.9, 0.1]])
    assert decide(RUNGS, ["a", "b", "c"], SEEDS, further).stopped.keys() == {"a"}


@pytest.mark.parametrize(
    ("ties", "stopped"),
    [
        (None, "c"),
        ({("a", 7): [9.0, 3.0], ("b", 7): [9.0, 1.0], ("c", 7): [9.0, 2.0]}, "a"),
        ({("c", 7): [0, 9.0]}, "b"),
    ],
    ids=["the file's order", "validation loss", "an unknown loss is behind"],
)
def test_of_equal_errors_the_loss_decides_and_then_the_file(ties: Any, stopped: str) -> None:
    curves = of(a=[[1.0, 0.2]], b=[[1.0, 0.2]], c=[[1.0, 0.2]])
    assert [*decide(RUNGS, ["a", "b", "c"], SEEDS, curves, ties=ties).stopped] == [stopped]


def test_the_order_of_the_file_counts_in_each_rung_and_not_the_places_of_the_rung_before() -> None:
    curves = of(a=[[0, 0.2, 0, 0.5]] * 3, b=[[0, 0.1, 0, 0.5]] * 3)
    found = standings((Rung(1, 2, 2), Rung(3, 4, 1)), ["a", "b"], SEEDS, curves)
    assert [[*standing.places] for standing in found] == [["b", "a"], ["a", "b"]]


def test_sums_that_differ_in_their_last_bit_are_equal() -> None:
    """0.1 + 0.2 is not 0.15 + 0.15 in floating point."""
    curves = of(a=[[0.1], [0.2]], b=[[0.15], [0.15]])
    assert decide((Rung(2, 1, 1),), ["a", "b"], SEEDS, curves).winner == "a"


def test_kept_configurations_go_on_beside_the_others_and_may_lose() -> None:
    curves = of(a=[[0, 0.1]], b=[[0, 0.2]], c=[[0, 0.3]], erm=[[0, 0.9]])
    found = decide(RUNGS, ["erm", "a", "b", "c"], SEEDS, curves, keep=["erm", "of another column"])
    assert [*found.stopped] == ["c"]
    assert {leg.configuration for leg in found.legs} == {"erm", "a", "b"}
    last = {"a": 0.1, "b": 0.2, "erm": 0.9}
    end = of(**{name: [[0.5, mean, 0.5, mean]] * 3 for name, mean in last.items()})
    assert decide(RUNGS, ["erm", "a", "b"], SEEDS, end, keep=["erm"]) == Decision((), {}, "a")


def test_a_kept_configuration_takes_no_place_where_it_is_the_best() -> None:
    curves = of(erm=[[0, 0.1]], a=[[0, 0.2]], b=[[0, 0.3]], c=[[0, 0.4]])
    found = decide(RUNGS, ["erm", "a", "b", "c"], SEEDS, curves, keep=["erm"])
    assert found.stopped == {"c": Stop(rung=1, place=4, mean=0.4, cut=0.3)}


def test_a_failed_cell_is_the_last_of_its_rung_and_no_open_leg() -> None:
    curves = of(a=[[0.1]], b=[[0.2, 0.9]], c=[[0.2, 0.8]])
    found = decide(RUNGS, ["a", "b", "c"], SEEDS, curves, failed=[("a", 7)])
    assert found.stopped == {"a": Stop(rung=1, place=3, mean=math.inf, cut=0.9)}


def test_the_other_seeds_of_a_failed_cell_are_trained_and_make_no_mean() -> None:
    rungs, good, bad = (Rung(2, 1, 1), Rung(3, 2, 1)), [[0.1], [0.1]], [[0.9], [0.9]]
    assert decide(rungs, ["a", "b"], SEEDS, of(b=bad), failed=[("a", 7)]).legs == (Leg("a", 3, 1),)
    found = decide(rungs, ["a", "b"], SEEDS, of(a=good, b=bad) | {("a", 7): []}, failed=[("a", 7)])
    assert [*found.stopped] == ["a"]


def test_a_cell_that_fails_later_changes_no_decision_before() -> None:
    curves = of(a=[[0.1, 0.1, 0.1]], b=[[0.2, 0.9]], c=[[0.2, 0.8]])
    found = decide(RUNGS, ["a", "b", "c"], SEEDS, curves, failed=[("a", 7)])
    assert [*found.stopped] == ["b"]
    assert ("a", 3) in {leg[:2] for leg in found.legs}
    assert ("a", 7) not in {leg[:2] for leg in found.legs}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_the_worst(value: float) -> None:
    curves = of(a=[[0.1, value]], b=[[0.1, 0.9]], c=[[0.1, 0.8]])
    assert [*decide(RUNGS, ["a", "b", "c"], SEEDS, curves).stopped] == ["a"]


def test_nobody_wins_if_each_of_the_last_rung_has_a_failed_cell() -> None:
    failed = [(name, seed) for name in "ab" for seed in SEEDS]
    stopped = {"a": Stop(1, 1, math.inf, math.inf), "b": Stop(1, 2, math.inf, math.inf)}
    assert decide(RUNGS, ["a", "b"], SEEDS, {}, failed=failed) == Decision((), stopped, None)


def test_a_failed_cell_takes_no_place_from_those_that_could_go_on_nor_is_it_kept() -> None:
    """Each later mean would lack it, too."""
    rungs = (Rung(1, 1, 2), Rung(2, 2, 1))
    found = decide(rungs, ["a", "b", "c"], SEEDS, of(b=[[0.5]]), failed=[("a", 7), ("c", 7)], keep=["c"])
    assert found.legs == (Leg("b", 7, 2), Leg("b", 3, 2))
    assert {name: stop.cut for name, stop in found.stopped.items()} == {"a": 0.5, "c": 0.5}


@pytest.mark.parametrize(
    ("rungs", "configurations", "seeds", "said"),
    [
        ((), ["a"], [0, 1], "without a rung"),
        ((Rung(3, 1, 1),), ["a"], [0, 1], "2 seeds"),
        ((Rung(1, 0, 1),), ["a"], [0, 1], "1 at least"),
        ((Rung(1, 1, 1),), ["a", "a"], [0, 1], "configuration is there twice"),
        ((Rung(1, 1, 1),), ["a"], [0, 0], "seed is there twice"),
    ],
)
def test_what_is_no_race_is_refused(rungs: Any, configurations: list[str], seeds: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decide(rungs, configurations, seeds, {})


def test_the_ranking_puts_who_came_further_first() -> None:
    curves = of(a=[[0, 0.1, 0, 0.9]] * 3, b=[[0, 0.2, 0, 0.8]] * 3, c=[[0, 0.5]], d=[[0, 0.4]])
    assert ranking(standings(RUNGS, [*"abcd"], SEEDS, curves)) == ("b", "a", "d", "c")


@st.composite
def races(draw: st.DrawFn) -> dict[str, Any]:
    """A race, all of its curves to the end, and cells that fail at some epoch."""
    num, num_seeds = draw(st.integers(1, 9)), draw(st.integers(2, 4))
    epochs = draw(st.integers(1, 6))
    names, seeds = [f"c{place}" for place in range(num)], draw(st.permutations(range(num_seeds)))
    # Few values, so that many are equal; drawn apart, since there are hundreds of them.
    rng = draw(CHANCE)
    whole = {(name, seed): [rng.randint(0, 4) / 4 for _ in range(epochs)] for name in names for seed in seeds}
    fails = {cell: rng.randrange(epochs) for cell in whole if rng.random() < 0.1}
    num_rungs = draw(st.integers(0, 4))
    grows, until, keeps = (
        sorted(draw(st.lists(st.integers(1, most), min_size=num_rungs, max_size=num_rungs)))
        for most in (num_seeds, epochs, num)
    )
    own = (Rung(*rung) for rung in zip(grows, until, reversed(keeps), strict=True))
    rungs = (*own, Rung(num_seeds, epochs, 1)) if draw(st.booleans()) else ladder(num, num_seeds, epochs)
    keep = draw(st.lists(st.sampled_from(names), max_size=2))
    return {"rungs": rungs, "names": names, "seeds": seeds, "whole": whole, "fails": fails, "keep": keep}


def asked(race: dict[str, Any], curves: Curves, failed: Collection[Cell]) -> Decision:
    return decide(race["rungs"], race["names"], race["seeds"], curves, keep=race["keep"], failed=failed)


def one_leg_after_the_other(race: dict[str, Any]) -> tuple[Decision, dict[Cell, int]]:
    """The race in the order of the legs, one slot, nothing in between; and the epochs that each cell has then."""
    curves: Curves = {}
    failed: set[Cell] = set()
    while legs := (found := asked(race, curves, failed)).legs:
        until = legs[0].epochs
        cell = legs[0].configuration, legs[0].seed
        curves[cell] = race["whole"][cell][: min(until, race["fails"].get(cell, until))]
        failed |= {cell} if len(curves[cell]) < until else set()
    return found, {cell: len(curve) for cell, curve in curves.items() if curve}


def shuffled(race: dict[str, Any], rng: Random, num_slots: int) -> tuple[Decision, dict[Cell, int]]:
    """The race on slots that report each epoch, in any order, with kills that leave nothing but the curves."""
    curves: Curves = {}
    failed: set[Cell] = set()
    running: dict[Cell, int] = {}
    while True:
        legs = asked(race, curves, failed).legs
        free = [leg for leg in legs if leg[:2] not in running]
        if not free and not running:
            return asked(race, curves, failed), {cell: len(curve) for cell, curve in curves.items() if curve}
        rng.shuffle(free)
        running |= {leg[:2]: leg.epochs for leg in free[: num_slots - len(running)]}
        if rng.random() < 0.1:
            running.clear()
            continue
        cell = rng.choice([*running])
        done = len(curves.setdefault(cell, []))
        if race["fails"].get(cell) == done:
            failed.add(cell)
        else:
            curves[cell].append(race["whole"][cell][done])
        if cell in failed or len(curves[cell]) >= running[cell]:
            del running[cell]


@settings(max_examples=80, deadline=None)
@given(race=races(), rng=CHANCE, num_slots=st.integers(1, 5))
def test_neither_order_nor_slots_nor_kills_change_a_decision_or_what_is_trained(
    race: dict[str, Any], rng: Random, num_slots: int
) -> None:
    found, trained = one_leg_after_the_other(race)
    assert shuffled(race, rng, num_slots) == (found, trained)
    assert sum(trained.values()) <= most_epochs(race["rungs"], len(race["names"]), num_kept=len({*race["keep"]}))


@settings(max_examples=60, deadline=None)
@given(race=races(), rng=CHANCE)
def test_a_stop_is_final_and_no_leg_comes_back(race: dict[str, Any], rng: Random) -> None:
    """Any part of what has reported agrees with the whole: a resumed race goes on where it was."""
    whole = {cell: curve[: race["fails"].get(cell, len(curve))] for cell, curve in race["whole"].items()}
    end = asked(race, whole, race["fails"])
    part = {cell: curve[: rng.randint(0, len(curve))] for cell, curve in whole.items()}
    failed = {cell for cell in race["fails"] if len(part[cell]) == len(whole[cell])}
    found = asked(race, part, failed)
    assert found.stopped.items() <= end.stopped.items()
    assert found.winner in (None, end.winner)
    assert not end.legs
    assert not {leg.configuration for leg in found.legs} & found.stopped.keys()
    assert all(len(part[leg[:2]]) < leg.epochs for leg in found.legs)
    has_failed = {name for name, _ in race["fails"]}
    assert not end.stopped.keys() & {*({*race["keep"]} - has_failed), end.winner}


def test_a_thousand_configurations_are_decided_in_less_than_a_second() -> None:
    """After each leg that ends, the driver asks anew: that takes milliseconds (``benchmarks/race.py``)."""
    rng, names = Random(0), [f"c{place}" for place in range(1000)]
    curves = {(name, seed): [rng.random() for _ in range(60)] for name in names for seed in range(3)}
    before = process_time()
    assert decide(ladder(1000, 3, 60), names, range(3), curves).winner
    assert process_time() - before < 1.0
