"""Ranges and spaces: which are refused, what is drawn from them, and how it is rounded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import UserError
from orchestrator.search import (
    RANGES,
    LogRandInt,
    LogUniform,
    Point,
    RandInt,
    Range,
    Space,
    Uniform,
    is_range,
    read_range,
)

EVERY = [
    Uniform(0.1, 2.0),
    Uniform(-1, 1),
    LogUniform(1e-4, 0.5),
    RandInt(2, 9),
    LogRandInt(1, 4000),
    Uniform(0.12345, 0.5),
]


@pytest.mark.parametrize("values", EVERY, ids=str)
@settings(max_examples=30)
@given(share=st.floats(0, 1, exclude_max=True))
def test_what_is_drawn_lies_between_the_ends_with_three_digits(values: Range, share: float) -> None:
    drawn = values.at(share)
    assert values.has(drawn)
    assert type(drawn) is (int if values.is_whole else float)
    assert drawn in (values.low, values.last) or float(f"{drawn:.3g}") == drawn
    assert values.settled(drawn) == drawn


@pytest.mark.parametrize("values", EVERY, ids=str)
def test_shares_are_spread_as_the_name_says(values: Range) -> None:
    shares = np.linspace(0, 1, 2000, endpoint=False)
    drawn = np.array([values.at(share) for share in shares], dtype=float)
    assert (np.diff(drawn) >= 0).all()
    assert drawn[0] == values.low
    assert drawn[-1] == pytest.approx(values.last, rel=0.01)
    middle = math.sqrt(values.low * values.high) if values.is_log else (values.low + values.high) / 2
    assert drawn[1000] == pytest.approx(math.floor(middle + 1e-9) if values.is_whole else middle, rel=0.01, abs=1e-3)


def test_the_upper_end_of_whole_numbers_is_not_drawn() -> None:
    """As in Ray Tune, whose names these are."""
    assert {RandInt(2, 5).at(share) for share in np.linspace(0, 1, 100, endpoint=False)} == {2, 3, 4}
    assert not RandInt(2, 5).has(5)


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ({"uniform": [2.0, 1.0]}, "LOW below HIGH"),
        ({"uniform": [1.0, 1.0]}, "LOW below HIGH"),
        ({"uniform": [1.0, math.inf]}, "two finite numbers"),
        ({"uniform": [1.0, "2"]}, "two finite numbers"),
        ({"uniform": [True, 2]}, "two finite numbers"),
        ({"loguniform": [0, 2]}, "two finite numbers above 0"),
        ({"randint": [1, 2.5]}, "two whole numbers"),
        ({"randint": [4, 5]}, "HIGH at least LOW + 2"),
        ({"lograndint": [0, 5]}, "two whole numbers above 0"),
        ({"uniform": [1, 2, 3]}, "[LOW, HIGH]"),
        ({"uniform": 3}, "[LOW, HIGH]"),
        ({"normal": [0, 1]}, "one of uniform, loguniform, randint, lograndint"),
    ],
    ids=str,
)
def test_a_wrong_range_is_refused(written: dict[str, Any], allowed: str) -> None:
    with pytest.raises(UserError) as refused:
        read_range(written)
    assert allowed in refused.value.allowed


def test_ranges_are_read_by_their_names() -> None:
    assert {name: read_range({name: [1, 9]}) for name in RANGES} == {name: kind(1, 9) for name, kind in RANGES.items()}
    assert str(read_range({"uniform": [0.1, 2]})) == "uniform(0.1, 2)"
    assert is_range({"uniform": "anything"})
    assert not any(map(is_range, [{"linear": [6.0, 2.0]}, {"uniform": 1, "randint": 1}, [1, 2], "uniform", {}]))


def test_a_space_is_conditional() -> None:
    space = Space({"erm": {}, "zeta": {"gamma": Uniform(1, 6), "num_mixed": (4, "batch")}}, {"lr": (0.1, 0.2)})
    assert space.ranges == ("zeta.gamma",)
    assert space.has(Point("erm", (("lr", 0.1),)))
    assert not space.has(Point("erm", (("lr", 0.1), ("gamma", 2.0))))
    assert not space.has(Point("zeta", (("gamma", 7.0), ("num_mixed", 4), ("lr", 0.1))))
    assert not space.has(Point("mixup"))
    assert space.fixed == ()
    with pytest.raises(ValueError, match=r"zeta.gamma: a range has no grid"):
        next(space.grid())


@pytest.mark.parametrize(
    ("branches", "shared", "said"),
    [
        ({}, {}, "without a branch"),
        ({"a": {"lr": (1, 2)}}, {"lr": (1,)}, "shared, too"),
        ({"a": {"x": ()}}, {}, "no value"),
    ],
)
def test_what_is_no_space_is_refused(branches: Any, shared: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Space(branches, shared)


@pytest.mark.parametrize(
    "drawn",
    [
        Uniform(0.95, 1.05),
        LogUniform(0.0987, 0.102),
        Uniform(-1.02, -0.98),
        Uniform(0.12345, 0.125),
        RandInt(-3, 5),
        RandInt(990, 1030),
        RandInt(-1020, -990),
        LogRandInt(2, 5),
    ],
    ids=str,
)
def test_a_range_knows_how_many_values_it_has(drawn: Range) -> None:
    assert drawn.size == len(
        {drawn.at(share) for share in np.linspace(0, 1, 20_000, endpoint=False)} | {drawn.settled(drawn.last)}
    )


def test_a_space_knows_how_many_points_it_has() -> None:
    space = Space(
        {"erm": {}, "mixup": {"alpha": RandInt(1, 4)}, "zeta": {"n": (4, 8), "k": RandInt(1, 3)}}, {"lr": (1, 2)}
    )
    assert space.size == 2 * (1 + 3 + 2 * 2)
    assert Space({"mixup": {"alpha": Uniform(0, 1)}}).size >= 1_000_000
