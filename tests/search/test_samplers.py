"""Every sampler: a pure function that draws new points of the space; Optuna's, where Optuna is installed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from random import Random

import numpy as np
import pytest

from orchestrator.errors import UserError
from orchestrator.search import (
    SAMPLERS,
    LogUniform,
    Point,
    RandInt,
    Rung,
    Sampler,
    Space,
    Told,
    Uniform,
    batches_of,
    follow,
    ladder,
    warm_start,
)

HAS_OPTUNA = find_spec("optuna") is not None
needs_optuna = pytest.mark.skipif(not HAS_OPTUNA, reason='Optuna is not installed: pip install "zetasweep[optuna]"')
SPACE = Space(
    {
        "erm": {},
        "mixup": {"alpha": Uniform(0.1, 2.0)},
        "zeta": {"gamma": Uniform(1.75, 6.0), "num_mixed": (4, "batch")},
    },
    {"lr": LogUniform(0.02, 0.5)},
)
LISTS = Space({"erm": {}, "mixup": {"alpha": (0.2, 1.0)}, "zeta": {"gamma": (2.0, 2.8), "num_mixed": (4, "batch")}})
RANDOM = [pytest.param(SAMPLERS["random"], id="random"), pytest.param(SAMPLERS["qmc"], id="qmc")]
OPTUNA = pytest.param(SAMPLERS["optuna"], id="optuna", marks=needs_optuna)
LEARNS_OR_NOT = pytest.mark.parametrize("sampler", [*RANDOM, OPTUNA])


def error(point: Point) -> float:
    """A made-up error of a configuration, the best of which is ζ-mixup with γ = 2.8 and a learning rate of 0.1."""
    values = dict(point.values)
    behind = {"erm": 0.3, "mixup": 0.2, "zeta": 0.0}[point.branch]
    if point.branch == "zeta":
        behind += 0.02 * (values["gamma"] - 2.8) ** 2 + 0.05 * (values["num_mixed"] == "batch")  # type: ignore[operator]
    return 0.1 + behind + 0.1 * float(np.log(values["lr"] / 0.1) ** 2)  # type: ignore[operator]


def told_of_all(points: Sequence[Point]) -> list[Told]:
    """What is told of them: each third was stopped, and one failed."""
    return [
        Told(point, None if place == 4 else error(point), rung=1 + place % 3, is_complete=place % 3 == 2)
        for place, point in enumerate(points)
    ]


@LEARNS_OR_NOT
def test_points_are_new_and_of_the_space_and_the_same_again(sampler: Sampler) -> None:
    first = sampler(SPACE, 12, seed=3)
    told = told_of_all(first)
    then = sampler(SPACE, 12, seed=3, told=told)
    assert len({*first, *then}) == 24
    assert all(SPACE.has(point) for point in (*first, *then))
    assert sampler(SPACE, 12, seed=3) == first
    assert sampler(SPACE, 12, seed=3, told=told) == then
    assert sampler(SPACE, 12, seed=4) != first


@pytest.mark.parametrize("sampler", RANDOM)
def test_more_points_leave_the_first_as_they_are(sampler: Sampler) -> None:
    many = sampler(SPACE, 40, seed=0)
    assert sampler(SPACE, 10, seed=0) == many[:10]
    assert sampler(SPACE, 30, seed=0, told=told_of_all(many[:10])) == many[10:]
    assert all(count >= 8 for count in Counter(point.branch for point in many).values())


def test_sobol_points_are_more_even_than_random_ones() -> None:
    space = Space({"mixup": {"alpha": Uniform(0.0, 1.0)}}, {"lr": Uniform(0.0, 1.0)})
    found = {}
    for name in ("random", "qmc"):
        points = SAMPLERS[name](space, 64, seed=1)
        cells = Counter((int(8 * point["alpha"]), int(8 * point["lr"])) for point in points)  # type: ignore[operator]
        found[name] = len(cells)
    assert found["qmc"] > found["random"] + 5


@LEARNS_OR_NOT
def test_a_branch_without_axes_is_always_there_and_a_space_has_an_end(sampler: Sampler) -> None:
    space = Space({"erm": {}, "mixup": {"alpha": (0.2, 1.0)}, "cut": {"n": RandInt(1, 4)}})
    points = sampler(space, 50, seed=0)
    assert points[0] == Point("erm")
    assert {*points} == {
        Point("erm"),
        *(Point("mixup", (("alpha", alpha),)) for alpha in (0.2, 1.0)),
        *(Point("cut", (("n", n),)) for n in (1, 2, 3)),
    }
    assert len(sampler(space, 3, seed=0)) == 3
    assert sampler(space, 5, seed=0, told=[Told(point, 0.5) for point in points]) == ()


def test_the_grid_has_all_points_in_their_order() -> None:
    points = SAMPLERS["grid"](LISTS, 100, seed=0)
    assert len(points) == 1 + 2 + 4
    assert points[0] == Point("erm")
    assert points[3] == Point("zeta", (("gamma", 2.0), ("num_mixed", 4)))
    assert SAMPLERS["grid"](LISTS, 2, seed=0, told=[Told(points[0], 0.1)]) == points[1:3]
    with pytest.raises(ValueError, match="a range has no grid"):
        SAMPLERS["grid"](SPACE, 2, seed=0)


def test_a_missing_optuna_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not installed
    with pytest.raises(UserError, match=r'pip install "zetasweep\[optuna\]"'):
        SAMPLERS["optuna"](SPACE, 4, seed=0)


@dataclass
class Trainer:
    """Trains legs in any order, and forgets everything but the curves when it is killed."""

    rng: Random
    curves: dict[tuple[str, int], list[float]]

    def legs(self, sampler: Sampler, num_samples: int = 20, budget: int | None = None) -> Iterator[object]:
        """Ask, train some of the legs, and yield the search; the last one is over."""
        while True:
            found = follow(
                lambda num, told: sampler(SPACE, num, seed=5, told=told),
                batches_of(num_samples, batch=8, rungs_of=lambda num: ladder(num, 3, 8), budget=budget),
                name_of=repr,
                seeds=[0, 1, 2],
                curves=self.curves,
            )
            yield found
            legs = [*found.decision.legs]
            if not legs:
                return
            points = {name: point for race in found.races for name, point in race.points.items()}
            self.rng.shuffle(legs)
            for leg in legs[: self.rng.randint(1, len(legs))]:
                own = Random(f"{leg.configuration} {leg.seed}")
                falling = [error(points[leg.configuration]) + 1 / epoch + own.gauss(0, 0.01) for epoch in range(1, 9)]
                self.curves[leg[:2]] = falling[: leg.epochs]


@LEARNS_OR_NOT
def test_a_search_in_batches_is_the_same_whatever_happens_in_between(sampler: Sampler) -> None:
    ends = [[*Trainer(Random(seed), {}).legs(sampler)][-1] for seed in range(2)]
    assert ends[0] == ends[1]
    races = ends[0].races  # type: ignore[attr-defined]
    assert [len(race.points) for race in races] == [8, 8, 4]
    assert ends[0].decision.winner is not None  # type: ignore[attr-defined]
    assert all(race.is_over for race in races)


def test_a_budget_ends_a_search_with_fewer_batches_and_a_winner() -> None:
    trainer = Trainer(Random(0), {})
    found = [*trainer.legs(SAMPLERS["random"], budget=140)][-1]
    assert sum(map(len, trainer.curves.values())) <= 140
    whole = [*Trainer(Random(0), {}).legs(SAMPLERS["random"])][-1]
    assert found.races[0] == whole.races[0]  # type: ignore[attr-defined]
    assert len(found.races) == 2  # type: ignore[attr-defined]
    assert found.races[1].rungs[0].keep < whole.races[1].rungs[0].keep  # type: ignore[attr-defined]
    assert found.decision.winner is not None  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="epochs at least"):
        next(Trainer(Random(0), {}).legs(SAMPLERS["random"], budget=20))


def test_the_search_goes_on_with_the_best_of_all_batches() -> None:
    points = {name: Point(name) for name in "abcd"}
    waiting = [*points.values()]
    errors = {"a": 0.4, "b": 0.2, "c": 0.3, "d": 0.5}
    found = follow(
        lambda num, told: [point for point in waiting if point not in {each.point for each in told}][:num],
        batches_of(9, batch=2, rungs_of=lambda _: (Rung(1, 1, 1), Rung(2, 2, 1))),
        name_of=lambda point: point.branch,
        seeds=[0, 1],
        curves={(name, seed): [errors[name]] * 2 for name in points for seed in (0, 1)},
    )
    assert found.decision.winner == "b"
    assert found.decision.stopped.keys() == {"a", "d"}
    assert len(found.races) == 2


def test_warm_start_tells_of_what_has_all_seeds_in_any_order() -> None:
    lr = (("lr", 0.1),)
    finished: Mapping[Point, Mapping[int, float]] = {
        Point("erm", lr): {0: 0.4, 1: 0.2, 9: 0.0},
        Point("mixup", (("alpha", 1.0), *lr)): {0: 0.2, 1: 0.2},
        Point("mixup", (("alpha", 0.5), *lr)): {0: 0.1},
        Point("mixup", (("alpha", 9.0), *lr)): {0: 0.1, 1: 0.1},
        Point("erm", (("lr", 0.2),)): {0: 0.1, 1: float("nan")},
    }
    told = warm_start(SPACE, finished, seeds=[0, 1])
    assert [(each.point.branch, each.mean, each.is_complete) for each in told] == [
        ("mixup", 0.2, True),
        ("erm", pytest.approx(0.3), True),
    ]
    assert warm_start(SPACE, dict(reversed([*finished.items()])), seeds=[0, 1]) == told
    assert warm_start(SPACE, finished, seeds=[0, 1], asked=[Point("erm", lr)]) == told[:1]


def best_of(sampler: Sampler, seed: int, *, num: int, batch: int) -> tuple[float, list[Told]]:
    told: list[Told] = []
    while len(told) < num:
        points = sampler(SPACE, batch, seed=seed, told=told)
        told += [Told(point, error(point)) for point in points]
    return min(each.mean for each in told if each.mean is not None), told


@needs_optuna
def test_optuna_asks_the_same_again() -> None:
    assert best_of(SAMPLERS["optuna"], 1, num=16, batch=4) == best_of(SAMPLERS["optuna"], 1, num=16, batch=4)


@needs_optuna
@pytest.mark.slow
def test_optuna_is_better_than_chance_on_a_conditional_space() -> None:
    """40 configurations in batches of 4, 20 repeats; each replayed identically."""
    best: dict[str, list[float]] = {"optuna": [], "random": []}
    for seed in range(20):
        for name, found in best.items():
            lowest, told = best_of(SAMPLERS[name], seed, num=40, batch=4)
            assert told == best_of(SAMPLERS[name], seed, num=40, batch=4)[1]
            found.append(lowest)
    assert np.median(best["optuna"]) < np.median(best["random"])
