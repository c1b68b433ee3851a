"""What is said of the keys of ``train`` before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_samples import DIGITS, ERM, MIXUP, make_cells

from orchestrator.errors import UserError
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.settings import Experiment
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.models.registry import build_model
from orchestrator.plan import Layout, Node, check_inputs, data_lines, make_plan, plan_lines
from orchestrator.train import optimizers

LAYOUT = Layout(slots=1, nodes=(Node(2, 0),))


def make_experiment(tmp_path: Path, **train: Any) -> Experiment:
    return Experiment.model_validate(
        {
            **{"name": "sample", "dataset": (DIGITS,), "model": (ModelSpec(name="convnet"),), "augment": (ERM,)},
            **{"file": Path("x.yaml"), "data_dir": tmp_path, "train": TrainSettings.model_validate(train)},
        }
    )


def test_an_optimizer_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None if name == "timm" else name)
    with pytest.raises(UserError, match=r"^x\.yaml: train\.optimizer=lamb is timm's") as refused:
        check_inputs(make_experiment(tmp_path, optimizer="lamb"))
    assert "install zetasweep[timm]" in str(refused.value)


def test_steps_of_more_batches_than_there_are_are_refused(tmp_path: Path) -> None:
    check_inputs(make_experiment(tmp_path, accumulate=20))
    with pytest.raises(UserError, match=r"x\.yaml: dataset = digits: train\.accumulate=21 batches .* has 20"):
        check_inputs(make_experiment(tmp_path, accumulate=21))


@pytest.mark.parametrize(
    ("train", "warned"),
    [
        ({}, ""),
        ({"ema_decay": 0.99}, ""),  # of the last 100 of 5 x 20 steps
        ({"ema_decay": 0.999}, "about the last 1,000 steps, and a training of 5 epochs has 100: its first weights"),
        ({"ema_decay": 0.99, "accumulate": 3}, "about the last 100 steps, and a training of 5 epochs has 35"),
        ({"ema_decay": 0.99, "epochs": 4}, "about the last 100 steps, and a training of 4 epochs has 80"),
    ],
)
def test_an_average_longer_than_the_training_is_said(tmp_path: Path, train: dict[str, Any], warned: str) -> None:
    found = [line for line in data_lines(check_inputs(make_experiment(tmp_path, **train))) if "ema_decay" in line]
    assert [line.startswith("warning:   digits: train.ema_decay=") for line in found] == [True] * bool(warned)
    assert all(warned in line for line in found)


@pytest.mark.parametrize(
    ("train", "copies"),
    [({"optimizer": "adagrad"}, 2), ({"ema_decay": 0.9}, 3), ({"optimizer": "madgrad", "ema_decay": 0.9}, 5)],
)
def test_disk_covers_what_optimizer_and_average_keep(tmp_path: Path, train: dict[str, Any], copies: int) -> None:
    cells = make_cells(ERM)
    usual, found = (
        make_plan(experiment, expected, {}, LAYOUT).disk_peak_bytes
        for experiment, expected in (
            (make_experiment(tmp_path), cells),
            (
                make_experiment(tmp_path, **train),
                [
                    cell.model_copy(update={"train": cell.train.model_copy(update=TrainSettings(**train).model_dump())})
                    for cell in cells
                ],
            ),
        )
    )
    network = build_model("convnet", num_classes=10, num_channels=3, image_size=8)
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    # Of four checkpoints: two, that of the best epoch, and the one that is being written.
    assert found - usual == 4 * (copies - 2) * weights


def test_an_end_of_mixing_where_nothing_is_mixed_is_said(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, mixing_off_epochs=2)
    said = [
        "mixing_off_epochs has no effect" in "\n".join(plan_lines(make_plan(each, make_cells(ERM), {}, LAYOUT), each))
        for each in (experiment, experiment.model_copy(update={"augment": (ERM, MIXUP)}))
    ]
    assert said == [True, False]
