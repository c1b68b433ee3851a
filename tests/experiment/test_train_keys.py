"""The keys of ``train`` that are off unless they are written: what is refused, and what is in a cell's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from orchestrator.errors import ConfigError
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.optimizer_info import OPTIMIZERS, OptimizerName

FILE = "name: x\ndataset: digits\nmodel: convnet\naugment: [erm, mixup]\ntrain: {TRAIN}\n"


def cells(folder: Path, train: str = "") -> list[Cell]:
    (folder / "x.yaml").write_text(FILE.replace("TRAIN", train))
    return expand(load_experiment(folder / "x.yaml"))


@pytest.mark.parametrize(
    ("train", "key", "allowed", "remedy"),
    [
        ("label_smoothing: 1.0", "label_smoothing", "a number from 0 to below 1", "Change it"),
        ("label_smoothing: -0.1", "label_smoothing", "a number from 0 to below 1", "Change it"),
        ("ema_decay: 1", "ema_decay", "a number above 0 and below 1", "Change it"),
        ("ema_decay: 0", "ema_decay", "a number above 0 and below 1", "Change it"),
        ("ema_decay: none", "ema_decay", "a number above 0 and below 1", "Write null"),
        ("accumulate: 0", "accumulate", "an integer, at least 1", "Change it"),
        ("accumulate: 2.0", "accumulate", "an integer, at least 1", "Change it"),
        ("nesterov: yes", "nesterov", "true, or false", "Write true."),
        ("nesterov: 1", "nesterov", "true, or false", "Change it"),
        ("nesterov: true, momentum: 0", "nesterov", "false or null with train.momentum=0", "Raise the momentum"),
        ("optimizer: lars, nesterov: true, momentum: 0", "nesterov", "train.momentum=0", "Raise the momentum"),
        ("optimizer: rmsprop, momentum: null", "momentum", "a number from 0", "Write 0 for rmsprop without momentum."),
        ("optimizer: adam, betas: [0.9]", "betas[1]", "two numbers from 0 to below 1", "add it"),
        ("optimizer: adam, betas: [0.9, 1.0]", "betas[1]", "two numbers from 0 to below 1", "Change it"),
        ("optimizer: lyon", "optimizer", "with the extra zetasweep[timm] also lamb", "Did you mean lion?"),
        ("schedule: one_cycle", "schedule", "linear, onecycle or constant", "Did you mean onecycle?"),
        ("no_decay_norm_bias: 5", "no_decay_norm_bias", "true, or false", "Change it"),
        ("mixing_off_epochs: -1", "mixing_off_epochs", "an integer from 0 to below train.epochs", "Change it"),
        ("epochs: 3, mixing_off_epochs: 4", "mixing_off_epochs", "0 to below train.epochs=3", "augment: erm"),
        ("epochs: 3, mixing_off_epochs: 3", "mixing_off_epochs", "0 to below train.epochs=3", "augment: erm"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, train: str, key: str, allowed: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        cells(tmp_path, train)
    (problem,) = refused.value.problems
    assert problem.key == f"train.{key}"
    assert allowed in problem.allowed
    assert remedy in problem.remedy


@pytest.mark.parametrize(
    "train",
    [
        "label_smoothing: 0",
        "accumulate: 1",
        "nesterov: false",
        "no_decay_norm_bias: false",
        "mixing_off_epochs: 0",
        "betas: [0.8, 0.9]",
        *(f"{name}: null" for name in ("label_smoothing", "accumulate", "ema_decay", "betas", "mixing_off_epochs")),
    ],
)
def test_what_is_off_or_without_effect_is_not_in_the_key(tmp_path: Path, train: str) -> None:
    assert [cell.key for cell in cells(tmp_path, train)] == [cell.key for cell in cells(tmp_path)]
    assert "None" not in str(cells(tmp_path, train)[0].params())


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("optimizer: adam, betas: [0.9, 0.999]", "optimizer: adam"),
        ("optimizer: lion, betas: [0.9, 0.99]", "optimizer: lion"),
        ("optimizer: adam, momentum: 0.5, nesterov: true", "optimizer: adam"),
        ("schedule: onecycle, warmup_epochs: 2", "schedule: onecycle"),
        ("schedule: linear, milestones: [1], lr_decay: 0.5", "schedule: linear"),
        ("weight_decay: 0, no_decay_norm_bias: true", "weight_decay: 0"),
    ],
)
def test_equal_trainings_have_equal_keys(tmp_path: Path, written: str, same: str) -> None:
    found, expected = cells(tmp_path, written), cells(tmp_path, same)
    assert [cell.key for cell in found] == [cell.key for cell in expected]
    assert [cell.params() for cell in found] == [cell.params() for cell in expected]


@pytest.mark.parametrize(
    ("train", "param"),
    [
        ("label_smoothing: 0.1", ("label_smoothing", "0.1")),
        ("nesterov: true", ("nesterov", "true")),
        ("optimizer: adam, betas: [0.8, 0.9]", ("betas", "[0.8, 0.9]")),
        ("ema_decay: 0.99", ("ema_decay", "0.99")),
        ("accumulate: 2", ("accumulate", "2")),
        ("no_decay_norm_bias: true", ("no_decay_norm_bias", "true")),
        ("schedule: constant", ("schedule", "constant")),
        *((f"optimizer: {name}", ("optimizer", name)) for name in OPTIMIZERS if name != "sgd"),
    ],
)
def test_what_changes_the_training_is_in_the_key(tmp_path: Path, train: str, param: tuple[str, str]) -> None:
    usual = {cell.key for cell in cells(tmp_path)}
    for cell in cells(tmp_path, train):
        assert cell.key not in usual
        assert cell.params()[f"train.{param[0]}"] == param[1]


def test_where_nothing_is_mixed_no_mixing_ends(tmp_path: Path) -> None:
    (erm, mixup), (same, other) = cells(tmp_path, "mixing_off_epochs: 2"), cells(tmp_path)
    assert erm.key == same.key
    assert mixup.key != other.key
    assert (erm.train.mixing_off_epochs, mixup.train.mixing_off_epochs) == (None, 2)


def test_every_optimizer_is_told_of() -> None:
    names: tuple[Any, ...] = get_args(OptimizerName)
    assert names == tuple(OPTIMIZERS)


def test_they_can_be_swept(tmp_path: Path) -> None:
    found = cells(tmp_path, "optimizer: adam, betas: [null, [0.8, 0.9]], ema_decay: [null, 0.9]")
    assert len({cell.key for cell in found}) == 2 * 2 * 2
    assert {(cell.train.betas, cell.train.ema_decay) for cell in found} == {
        (betas, decay) for betas in (None, (0.8, 0.9)) for decay in (None, 0.9)
    }


def test_a_swept_end_of_mixing_makes_one_cell_without_mixing(tmp_path: Path) -> None:
    found = cells(tmp_path, "mixing_off_epochs: [1, 2]")
    assert [(cell.augment.name, cell.train.mixing_off_epochs) for cell in found] == [
        ("erm", None),
        ("mixup", 1),
        ("mixup", 2),
    ]
    assert [cell.apart for cell in found] == [(), ("mixing_off_epochs=1",), ("mixing_off_epochs=2",)]


@pytest.mark.parametrize(
    ("train", "key"),
    [
        ("nesterov: [null, false]", "train.nesterov[1]"),
        ("accumulate: [1, null]", "train.accumulate[1]"),
        ("optimizer: adam, nesterov: [true, false]", "train.nesterov[1]"),
        ("optimizer: adam, betas: [null, [0.9, 0.999]]", "train.betas[1]"),
        ("schedule: onecycle, warmup_epochs: [1, 2]", "train.warmup_epochs[1]"),
    ],
)
def test_values_that_mean_the_same_are_refused(tmp_path: Path, train: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        cells(tmp_path, train)
    (problem,) = refused.value.problems
    assert (problem.key, problem.allowed) == (key, "each cell once")
