"""What a user is told when an augmentation, of somebody's own too, refuses a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from augment import AUGMENTATIONS, Erm, ParameterError
from augment.contract import parameter
from orchestrator.errors import ConfigError, Problem
from orchestrator.experiment.load import load_experiment

PLAIN = [
    (ValueError("it must be odd"), ": it must be odd"),
    (ValueError("odd: 1, 3 or 5"), ": odd: 1, 3 or 5"),
    (ValueError("two\n  lines"), ": two lines"),
    (ValueError(), ""),
    (OverflowError("int too large to convert to float"), ": int too large to convert to float"),
    (ZeroDivisionError("division by zero"), ": division by zero"),
]
every_plain_refusal = pytest.mark.parametrize(("error", "said"), PLAIN, ids=[repr(error) for error, _ in PLAIN])


def raising(error: Exception) -> Callable[..., Any]:
    def check(*_: object) -> Any:
        raise error

    return check


def registered(monkeypatch: pytest.MonkeyPatch, *, check: Callable[..., Any], after: Callable[..., Any]) -> None:
    """Register an augmentation ``mine`` with a parameter `size` that `check` looks at, and `after` at the whole."""

    @dataclass(frozen=True)
    class Mine(Erm):
        size: int = parameter(check)

        def __post_init__(self) -> None:
            super().__post_init__()
            after(self)

    monkeypatch.setitem(AUGMENTATIONS, "mine", Mine)


def problem_of(tmp_path: Path, augment: str) -> Problem:
    path = tmp_path / "x.yaml"
    path.write_text(f"{{name: x, dataset: digits, model: convnet, augment: {augment}}}")
    with pytest.raises(ConfigError) as caught:
        load_experiment(path)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    assert not [line for line in str(problem).splitlines() if line.rstrip().endswith(("remedy:", "allowed:"))]
    return problem


@every_plain_refusal
def test_a_plain_error_about_one_value_is_said_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    registered(monkeypatch, check=raising(error), after=lambda _: None)
    problem = problem_of(tmp_path, "{mine: {size: 4}}")
    assert (problem.key, problem.value) == ("augment.mine.size", "4")
    assert (problem.allowed, problem.remedy) == (f"another value{said}", "Change size.")


@every_plain_refusal
def test_a_plain_error_about_a_combination_is_said_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    registered(monkeypatch, check=lambda _, value: value, after=raising(error))
    problem = problem_of(tmp_path, "{mine: {size: 4}}")
    assert (problem.key, problem.value) == ("augment.mine", "{size: 4}")
    assert (problem.allowed, problem.remedy) == (f"values that suit each other{said}", "Change size.")


def test_an_augmentation_without_parameters_that_refuses_is_to_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Never(Erm):
        def __post_init__(self) -> None:
            raise ValueError("it cannot run here")

    monkeypatch.setitem(AUGMENTATIONS, "never", Never)
    problem = problem_of(tmp_path, "never")
    assert (problem.key, problem.value, problem.remedy) == ("augment", "never", "Leave never out.")
    assert "it cannot run here" in problem.allowed


@pytest.mark.parametrize(("remedy", "told"), [("Take 3.", "Take 3."), ("", "Change size.")])
def test_a_refusal_in_parts_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remedy: str, told: str
) -> None:
    error = ParameterError("size", 4, "an odd number", remedy)
    registered(monkeypatch, check=raising(error), after=lambda _: None)
    one = problem_of(tmp_path, "{mine: {size: 4}}")
    assert (one.allowed, one.remedy) == ("an odd number", told)
    registered(monkeypatch, check=lambda _, value: value, after=raising(error))
    whole = problem_of(tmp_path, "{mine: {size: 4}}")
    assert (whole.allowed, whole.remedy) == ("values that suit each other: instead of size=4, an odd number", told)
