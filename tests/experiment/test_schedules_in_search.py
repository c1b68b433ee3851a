"""Schedules in a search: lists of them are drawn from, beside ranges, and what is drawn is checked with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from augment import AUGMENTATIONS, Erm
from augment.contract import check_num_mixed, parameter
from orchestrator.errors import ConfigError
from orchestrator.experiment import Experiment, columns, load_experiment


@dataclass(frozen=True)
class WithSteps(Erm):
    """Of somebody who calls a parameter so."""

    steps: int = parameter(check_num_mixed, default=2)


def read(tmp_path: Path, augment: str, search: str = "{sampler: random, num_samples: 20}") -> Experiment:
    path = tmp_path / "x.yaml"
    text = f"name: x, dataset: digits, model: convnet, augment: {augment}, train: {{epochs: 8}}, seed: [0, 1]"
    path.write_text(f"{{{text}, search: {search}}}")
    return load_experiment(path)


def drawn(experiment: Experiment) -> list[str]:
    (column,) = columns(experiment)
    return [column.configuration(point).augment.label for point in column.ask(column.num_samples)]


# Alike in the first hundred letters.
LONG = "steps: {0: 9, 1: 8.875, 2: 8.75, 3: 8.625, 4: 8.5, 5: 8.375, 6: 8.25"


def test_a_list_of_numbers_and_schedules_is_an_axis(tmp_path: Path) -> None:
    gammas = f"[2.4, {{linear: [6, 2]}}, {{{LONG}, 7: 2}}}}, {{{LONG}, 7: 3}}}}]"
    found = drawn(read(tmp_path, f"[erm, {{zeta_mixup: {{gamma: {gammas}, num_mixed: {{randint: [2, 9]}}}}}}]"))
    assert found[0] == "erm"
    values = {label.partition("gamma=")[2].partition(", num_mixed")[0] for label in found[1:]}
    assert "linear(6.0 to 2.0)" in values
    assert len(values) == 4
    assert len(set(found)) == len(found)


def test_a_grid_races_each(tmp_path: Path) -> None:
    augment = "[erm, {zeta_mixup: {gamma: [2.4, {linear: [6, 2]}], num_mixed: 4}}]"
    assert drawn(read(tmp_path, augment, "{sampler: grid}")) == [
        "erm",
        "zeta_mixup(gamma=2.4, num_mixed=4)",
        "zeta_mixup(gamma=linear(6.0 to 2.0), num_mixed=4)",
    ]


REFUSED = [
    (
        "{zeta_mixup_range: {gamma_low: {linear: [1, 3]}, gamma_high: {uniform: [2, 5]}, num_mixed: 4}}",
        "augment[1].zeta_mixup_range",
        "in each epoch a number below gamma_high=2.0",
    ),
    ("{mixup: {alpha: {steps: {0: {uniform: [1, 2]}, 3: 2}}}}", "augment[1].mixup.alpha.steps.0", "a number"),
    ("{mixup: {alpha: {unifrom: [1, 2]}}}", "augment[1].mixup.alpha", "a range (uniform, loguniform"),
]


@pytest.mark.parametrize(("entry", "key", "allowed"), REFUSED)
def test_what_is_drawn_is_checked_with_it(tmp_path: Path, entry: str, key: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[erm, {entry}]")
    (problem,) = caught.value.problems
    assert problem.key == key
    assert allowed in problem.allowed


def test_a_parameter_may_be_called_like_a_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUGMENTATIONS, "with_steps", WithSteps)
    found = drawn(
        read(tmp_path, "[erm, {with_steps: {steps: {randint: [2, 9]}}}]", "{sampler: random, num_samples: 6}")
    )
    assert len(found) > 2
    assert all(label.startswith("with_steps(steps=") for label in found[1:])
