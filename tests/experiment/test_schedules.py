"""Parameters that change from epoch to epoch: their values, their cells, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from augment import Combined, MixUp, RandAugment, Sometimes, ZetaMixup
from orchestrator.errors import ConfigError
from orchestrator.experiment import Cell, expand, load_experiment
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.schedule_spec import AnySchedule, Cosine, Linear, Steps
from orchestrator.results.answer import _name
from orchestrator.results.names import Names
from tools.reference.schema import experiment_schema


def cells_of(tmp_path: Path, augment: str, train: str = "{epochs: 5}") -> list[Cell]:
    path = tmp_path / "x.yaml"
    path.write_text(f"{{name: x, dataset: digits, model: convnet, augment: {augment}, train: {train}}}")
    return expand(load_experiment(path))


# By hand: in five epochs the shares of a line are 0, 1/4, 1/2, 3/4, 1, and of half a cosine 0, (1 - √½)/2, 1/2, …
VALUES: list[tuple[AnySchedule, list[float]]] = [
    (Linear(linear=(6.0, 2.0)), [6, 5, 4, 3, 2]),
    (Linear(linear=(0.1, 0.5)), [0.1, 0.2, 0.3, 0.4, 0.5]),
    (Cosine(cosine=(6.0, 2.0)), [6, 4 + math.sqrt(2), 4, 4 - math.sqrt(2), 2]),
    (Steps(steps={0: 4.0, 2: 2.4}), [4, 4, 2.4, 2.4, 2.4]),
    (Steps(steps={0: 4.0, 1: 3.0, 4: 5.0}), [4, 3, 3, 3, 5]),
    # Whole numbers stay whole, halves go up.
    (Linear(linear=(2, 4)), [2, 3, 3, 4, 4]),
    (Linear(linear=(64, 2)), [64, 49, 33, 18, 2]),
    (Cosine(cosine=(2, 12)), [2, 3, 7, 11, 12]),
    (Steps(steps={0: 64, 3: 2}), [64, 64, 64, 2, 2]),
]


@pytest.mark.parametrize(("schedule", "expected"), VALUES, ids=str)
def test_each_epoch_has_its_value(schedule: AnySchedule, expected: list[float]) -> None:
    found = [schedule.at(epoch, of=5) for epoch in range(1, 6)]
    assert found == pytest.approx(expected, rel=1e-11)
    assert (found[0], found[-1]) == (expected[0], expected[-1]), "the ends are met to the bit"
    assert {type(value) for value in found} == ({int} if "." not in str(schedule) else {float})


@pytest.mark.parametrize(
    ("written", "label", "short"),
    [
        ("{linear: [6, 2]}", "linear(6.0 to 2.0)", "6.0→2.0"),
        ("{cosine: [6.0, 2]}", "cosine(6.0 to 2.0)", "cos6.0→2.0"),
        ("{steps: {0: 4, 2: 2.4, 3: 3}}", "steps(4.0 to 2.4 after 2 to 3.0 after 3)", "4.0→2.4@2→3.0@3"),
    ],
)
def test_it_has_a_label_and_a_place_in_the_key(tmp_path: Path, written: str, label: str, short: str) -> None:
    plain, cell = cells_of(tmp_path, f"{{zeta_mixup: {{gamma: [2.8, {written}], num_mixed: 4}}}}")
    assert cell.augment.label == f"zeta_mixup(gamma={label}, num_mixed=4)"
    assert cell.augment.short == f"ζ{short} N4"
    assert (cell.params()["gamma"], cell.params()["num_mixed"]) == (label, "4")
    assert cell.key != plain.key
    # As cells travel: through JSON.
    again = Cell.model_validate_json(cell.model_dump_json())
    assert (again, again.key, hash(again.augment)) == (cell, cell.key, hash(cell.augment))
    (same,) = cells_of(tmp_path, f"{{zeta_mixup: {{gamma: {written.replace('6.0', '6')}, num_mixed: 4}}}}")
    assert same.key == cell.key, "however a number is written"


def test_what_changes_nothing_keeps_its_key() -> None:
    """That of the first version."""
    spec = AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 4})
    assert spec.model_dump(mode="json", exclude_none=True) == {
        "name": "zeta_mixup",
        "params": {"gamma": 2.8, "num_mixed": 4},
    }
    assert spec.at(3, of=5) is spec


def test_the_key_has_it_as_it_is_written(tmp_path: Path) -> None:
    (cell,) = cells_of(tmp_path, "{zeta_mixup: {gamma: {linear: [6, 2]}, num_mixed: {steps: {0: batch, 3: 4}}}}")
    assert cell.model_dump(mode="json")["augment"]["params"] == {
        "gamma": {"linear": [6.0, 2.0]},
        "num_mixed": {"steps": {"0": 64, "3": 4}},
    }


def test_lists_of_schedules_and_numbers_are_swept(tmp_path: Path) -> None:
    gammas = "[2.4, {linear: [6, 2]}, {linear: [2, 6]}, {cosine: [6, 2]}, {steps: {0: 6, 2: 2}}]"
    cells = cells_of(tmp_path, f"{{zeta_mixup: {{gamma: {gammas}, num_mixed: [4, {{linear: [batch, 2]}}]}}}}")
    assert len({cell.key for cell in cells}) == len(cells) == 10


def test_an_epoch_has_what_its_values_make(tmp_path: Path) -> None:
    (cell,) = cells_of(
        tmp_path,
        "{mixup: {alpha: {linear: [1, 3]}, probability: {linear: [0.2, 1]}, "
        "combine: {rand_augment: {magnitude: {steps: {0: 1, 4: 9}}}}}}",
    )
    third = cell.augment_in(3).build(backend="torch")
    mixing = Sometimes(MixUp(2.0, backend="torch"), 0.6, backend="torch")
    assert third == Combined(RandAugment(2, 1), mixing, backend="torch")
    last = cell.augment_in(5).build()
    assert last == Combined(RandAugment(2, 9), Sometimes(MixUp(3.0), 1.0))
    assert cell.scheduled_in(3) == {"alpha": 2.0, "probability": pytest.approx(0.6), "combine.magnitude": 1.0}
    assert cell.augment.build() == cell.augment_in(1).build()
    assert cell.params()["combine.magnitude"] == "steps(1 to 9 after 4)"


def test_where_nothing_is_mixed_only_images_change(tmp_path: Path) -> None:
    (cell,) = cells_of(
        tmp_path,
        "{mixup: {alpha: {linear: [1, 3]}, combine: {rand_augment: {magnitude: {steps: {0: 1, 4: 9}}}}}}",
        "{epochs: 5, mixing_off_epochs: 2}",
    )
    found = [cell.scheduled_in(epoch) for epoch in range(1, 6)]
    assert [each.get("alpha") for each in found] == [1.0, 1.5, 2.0, None, None], "cut off, and not squeezed"
    assert [each["combine.magnitude"] for each in found] == [1, 1, 1, 1, 9]


def test_every_epoch_is_looked_at_for_gamma_min(tmp_path: Path) -> None:
    augment = "{zeta_mixup: {gamma: [{linear: [6, 2]}, {linear: [6, 1]}, {linear: [1, 6]}], num_mixed: 4}}"
    assert [cell.is_below_gamma_min for cell in cells_of(tmp_path, augment)] == [False, True, True]
    # γ_min is 1.08 for N = 4 and 1.72 for 64: the same γ is below it as N grows.
    (cell,) = cells_of(tmp_path, "{zeta_mixup: {gamma: 1.5, num_mixed: {linear: [4, 64]}}}")
    assert cell.is_below_gamma_min
    assert [cell.is_below_gamma_min for cell in cells_of(tmp_path, "[erm, {mixup_pseries: {gamma: 2.8}}]")] == [
        None,
        False,
    ]


REFUSED = [
    ("mixup: {alpha: {lineer: [1, 2]}}", "mixup.alpha", "a schedule (linear, cosine, steps)", "Did you mean linear?"),
    ("mixup: {alpha: {linear: [1, 2], cosine: [1, 2]}}", "mixup.alpha", "one schedule", "a list of schedules is swept"),
    ("mixup: {alpha: {linear: 3}}", "mixup.alpha.linear", "[FIRST, LAST]", "linear: [6.0, 2.0]"),
    ("mixup: {alpha: {cosine: [1, 2, 3]}}", "mixup.alpha.cosine", "[FIRST, LAST]", "cosine: [6.0, 2.0]"),
    ("mixup: {alpha: {linear: [2, 2.0]}}", "mixup.alpha.linear", "which differs", "Write 2.0 alone."),
    ("mixup: {alpha: {linear: [0, 2]}}", "mixup.alpha.linear[0]", "a finite number above 0", "Change alpha."),
    ("mixup: {alpha: {linear: [1, x]}}", "mixup.alpha.linear[1]", "a number", ""),
    ("mixup: {alpha: {linear: [1, {uniform: [1, 2]}]}}", "mixup.alpha.linear[1]", "a number", "nothing is drawn"),
    ("mixup: {alpha: {steps: {0: 1, 2: {uniform: [1, 2]}}}}", "mixup.alpha.steps.2", "a number", "nothing is drawn"),
    ("mixup: {alpha: {steps: [1, 2]}}", "mixup.alpha.steps", "{0: NUMBER, EPOCHS: NUMBER, ...}", "steps: {0: 4.0"),
    ("mixup: {alpha: {steps: {2: 1, 4: 2}}}", "mixup.alpha.steps", "a step at 0", "{0: NUMBER, 2: ...}"),
    ("mixup: {alpha: {steps: {0: 1}}}", "mixup.alpha.steps", "two steps at least", "Write the number alone"),
    ("mixup: {alpha: {steps: {0: 1, 3: 2, 2: 3}}}", "mixup.alpha.steps.2", "2 after 3", "Sort the steps."),
    ("mixup: {alpha: {steps: {0: 1, 3: 1}}}", "mixup.alpha.steps.3", "another number than before, 1.0", "Leave"),
    ("mixup: {alpha: {steps: {0: 1, 1.5: 2}}}", "mixup.alpha.steps.1.5", "an integer, at least 0", "without quotes"),
    ("mixup: {alpha: {steps: {0: 1, '3': 2}}}", "mixup.alpha.steps.3", "an integer, at least 0", "without quotes"),
    ("mixup: {alpha: {steps: {0: 1, 5: 2}}}", "mixup.alpha", "within train.epochs=5: this one takes 6", "raise train"),
    ("mixup: {per: {linear: [1, 2]}}", "mixup.per", "per is no number", "Write one value."),
    ("mixup: {probability: {linear: [0, 1]}}", "mixup.probability.linear[0]", "above 0 and at most 1", ""),
    ("zeta_mixup: {gamma: 2, num_mixed: {linear: [8.5, 2]}}", "zeta_mixup.num_mixed.linear[0]", "an integer", ""),
    ("zeta_mixup: {gamma: 2, num_mixed: {steps: {0: 4, 2: 2.5}}}", "zeta_mixup.num_mixed.steps.2", "an integer", ""),
    (
        "zeta_mixup: {gamma: 2, num_mixed: {linear: [2, 65]}}",
        "zeta_mixup.num_mixed.linear[1]",
        "2 to train.batch_size_per_worker=64",
        "Lower num_mixed or raise train.batch_size_per_worker.",
    ),
    (
        "erm: {combine: {rand_augment: {magnitude: {linear: [1, 31]}}}}",
        "erm.combine.rand_augment.magnitude.linear[1]",
        "0 to 30",
        "Change magnitude",
    ),
    (
        "erm: {combine: {auto_augment: {policy: {linear: [1, 2]}}}}",
        "erm.combine.auto_augment.policy",
        "policy is no number",
        "",
    ),
    (
        "zeta_mixup_range: {gamma_low: {linear: [1, 5]}, gamma_high: 4, num_mixed: 4}",
        "zeta_mixup_range",
        "in each epoch a number below gamma_high=4.0",
        "Raise gamma_high",
    ),
    ("mixup: {alpha: [{linear: [1, 2]}, {linear: [1.0, 2.0]}]}", "mixup.alpha[1]", "each cell once", "alpha[0]"),
    (
        "erm: {combine: {rand_augment: {magnitude: {steps: {0: 1, 5: 2}}}}}",
        "erm.combine.rand_augment.magnitude",
        "within train.epochs=5: this one takes 6",
        "raise train.epochs",
    ),
]


@pytest.mark.parametrize(("entry", "key", "allowed", "remedy"), REFUSED)
def test_a_mistake_is_said_where_it_stands(tmp_path: Path, entry: str, key: str, allowed: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cells_of(tmp_path, f"{{{entry}}}")
    (problem,) = caught.value.problems
    assert problem.key == f"augment.{key}"
    assert allowed in problem.allowed
    assert remedy in problem.remedy
    assert problem.remedy


def test_the_epoch_is_named_in_which_it_becomes_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gamma_low=4\.0, num_mixed=4\) in epoch 4"):
        cells_of(tmp_path, "{zeta_mixup_range: {gamma_low: {linear: [1, 5]}, gamma_high: 4, num_mixed: 4}}")


@pytest.mark.parametrize(
    ("alpha", "train", "allowed"),
    [
        ("{linear: [1, 2]}", "{epochs: 1}", "within train.epochs=1: this one takes 2"),
        ("{linear: [1, 2]}", "{epochs: [5, 1]}", "within train.epochs=1: this one takes 2"),
        (
            "{steps: {0: 1, 3: 2}}",
            "{epochs: 5, mixing_off_epochs: 2}",
            "within the first 3 of train.epochs=5 (in the last 2 nothing is mixed): this one takes 4",
        ),
    ],
)
def test_a_training_may_be_too_short(tmp_path: Path, alpha: str, train: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cells_of(tmp_path, f"{{mixup: {{alpha: {alpha}}}}}", train)
    (problem,) = caught.value.problems
    assert (problem.key, allowed in problem.allowed) == ("augment.mixup.alpha", True)


def test_in_few_epochs_two_schedules_may_be_the_same(tmp_path: Path) -> None:
    both = "{mixup: {alpha: [{linear: [1, 3]}, {cosine: [1, 3]}]}}"
    assert len(cells_of(tmp_path, both, "{epochs: 4}")) == 2
    with pytest.raises(ConfigError) as caught:
        cells_of(tmp_path, both, "{epochs: 3}")
    (problem,) = caught.value.problems
    assert problem.allowed == "each cell once"
    assert "With train.epochs=3 it is what mixup(alpha=linear(1.0 to 3.0)) is" in problem.remedy


def test_of_several_batch_sizes_each_has_its_own_numbers(tmp_path: Path) -> None:
    both = "{epochs: 5, batch_size_per_worker: [16, 32]}"
    cells = cells_of(tmp_path, "{zeta_mixup: {gamma: 2, num_mixed: [{linear: [batch, 2]}, {linear: [16, 2]}]}}", both)
    assert [cell.augment.values["num_mixed"] for cell in cells] == [
        "linear(16 to 2)",
        "linear(32 to 2)",
        "linear(16 to 2)",
    ]
    with pytest.raises(ConfigError) as caught:
        cells_of(tmp_path, "{zeta_mixup: {gamma: 2, num_mixed: {linear: [20, 2]}}}", both)
    (problem,) = caught.value.problems
    assert (problem.key, "batch_size_per_worker=16" in problem.allowed) == (
        "augment.zeta_mixup.num_mixed.linear[0]",
        True,
    )


def test_the_command_line_may_change_it(tmp_path: Path) -> None:
    cells_of(tmp_path, "{mixup: {alpha: {linear: [1, 2]}}}")
    overrides = ["augment.mixup.alpha.linear[1]=3"]
    (cell,) = expand(load_experiment(tmp_path / "x.yaml", overrides))
    assert cell.augment.label == "mixup(alpha=linear(1.0 to 3.0))"


def test_papers_and_metrics_can_have_its_name() -> None:
    row = (
        "zeta_mixup(combine=rand_augment(magnitude=linear(1 to 9), num_ops=steps(1 to 2 after 3)), "
        "gamma=cosine(6.0 to 2.0), num_mixed=4), lr=0.05"
    )
    names = Names({})
    assert names.readable_row(row) == (
        "ζ-mixup + RandAugment (γ=cosine(6.0 to 2.0), N=4, M=linear(1 to 9), ops=steps(1 to 2 after 3)), lr=0.05"
    )
    assert r"$\gamma=\mbox{cosine(6.0 to 2.0)}$" in names.row_tex(row)
    assert _name("mean", "digits convnet", "mixup(alpha=linear(1.0 to 2.0))") == (
        "verdict/mean/digits convnet/mixup alpha linear 1.0 to 2.0"
    )
    assert Names({"zeta_mixup": "ours"}).row("zeta_mixup(gamma=linear(6.0 to 2.0), num_mixed=4)") == (
        "ours(gamma=linear(6.0 to 2.0), num_mixed=4)"
    )


@pytest.mark.parametrize(
    ("gamma", "valid"),
    [
        ({"linear": [6, 2]}, True),
        ([2.4, {"cosine": [6, 2]}], True),
        ({"steps": {0: 4, 20: 2}}, True),
        ({"linear": [6, 6]}, False),
        ({"linear": [0, 2]}, False),
        ({"steps": {1: 4, 20: 2}}, False),
        ({"steps": {0: 4}}, False),
        ({"lineer": [6, 2]}, False),
        ({"linear": [6, 2], "cosine": [6, 2]}, False),
    ],
)
def test_editors_are_told_the_same(gamma: Any, valid: bool) -> None:
    small = {"name": "x", "dataset": "digits", "model": "convnet"}
    data = small | {"augment": {"zeta_mixup": {"gamma": gamma, "num_mixed": {"linear": ["batch", 2]}}}}
    # As JSON: its keys are texts.
    assert jsonschema.Draft7Validator(experiment_schema()).is_valid(json.loads(json.dumps(data))) is valid


def test_it_is_built_as_of_the_first_epoch() -> None:
    spec = AugmentSpec(name="zeta_mixup", params={"gamma": Linear(linear=(6.0, 2.0)), "num_mixed": 4})
    assert spec.build(backend="torch") == ZetaMixup(6.0, 4, backend="torch")
