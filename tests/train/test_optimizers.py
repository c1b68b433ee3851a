from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR

from orchestrator.experiment.settings import TrainSettings
from orchestrator.train.optimizers import build_optimizer, lr_factor

STEPS = 7
LR = 0.3


def train_settings(**changes: Any) -> TrainSettings:
    return TrainSettings.model_validate({"epochs": 10, "lr": LR, **changes})


def rates(optimizer: torch.optim.Optimizer, schedule: LRScheduler, num_steps: int) -> list[float]:
    """The learning rate of each step."""
    found = []
    for _ in range(num_steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def ours(**changes: Any) -> list[float]:
    chosen = train_settings(**changes)
    optimizer, schedule = build_optimizer(nn.Linear(1, 1), chosen, steps_per_epoch=STEPS)
    return rates(optimizer, schedule, chosen.epochs * STEPS)


def reference() -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=LR)


def test_cosine_is_torchs() -> None:
    optimizer = reference()
    expected = rates(optimizer, CosineAnnealingLR(optimizer, T_max=10 * STEPS), 10 * STEPS)
    found = ours(schedule="cosine")
    assert found == pytest.approx(expected, abs=1e-12)
    assert found[0] == LR
    assert found[-1] > 0, "no step is taken with a rate of zero"


@pytest.mark.parametrize("lr_decay", [0.1, 0.5, 1.0])
def test_multistep_is_torchs(lr_decay: float) -> None:
    optimizer = reference()
    schedule = MultiStepLR(optimizer, milestones=[3 * STEPS, 8 * STEPS], gamma=lr_decay)
    found = ours(schedule="multistep", milestones=(3, 8), lr_decay=lr_decay)
    assert found == pytest.approx(rates(optimizer, schedule, 10 * STEPS), rel=1e-12)


def test_warmup_is_torchs() -> None:
    optimizer, num_warmup = reference(), 2 * STEPS
    # torch's ramp has both ends in it, so it reaches the full rate with the last step of the warm-up.
    ramp = LinearLR(optimizer, start_factor=1 / num_warmup, total_iters=num_warmup - 1)
    cosine = CosineAnnealingLR(optimizer, T_max=8 * STEPS)
    expected = rates(optimizer, SequentialLR(optimizer, [ramp, cosine], milestones=[num_warmup]), 10 * STEPS)
    found = ours(schedule="cosine", warmup_epochs=2)
    assert found == pytest.approx(expected, rel=1e-9)
    assert found[num_warmup - 1] == found[num_warmup] == LR


def test_milestones_count_from_the_start_of_the_warmup() -> None:
    found = ours(schedule="multistep", milestones=(3, 8), warmup_epochs=2)
    assert found[2 * STEPS : 3 * STEPS] == [LR] * STEPS
    assert found[3 * STEPS] == pytest.approx(0.1 * LR)
    assert found[-1] == pytest.approx(0.01 * LR)


def test_warmup_may_be_the_whole_training() -> None:
    found = ours(schedule="cosine", warmup_epochs=10)
    assert found == pytest.approx([LR * (step + 1) / (10 * STEPS) for step in range(10 * STEPS)])


@given(
    epochs=st.integers(1, 8),
    warmup_epochs=st.integers(0, 8),
    steps_per_epoch=st.integers(1, 5),
    schedule=st.sampled_from(["cosine", "multistep"]),
)
@settings(deadline=None)
def test_factor_is_above_zero_and_at_most_one(
    epochs: int, warmup_epochs: int, steps_per_epoch: int, schedule: str
) -> None:
    chosen = train_settings(
        epochs=epochs + 1, warmup_epochs=min(warmup_epochs, epochs), schedule=schedule, milestones=(epochs,)
    )
    factors = [
        lr_factor(step, settings=chosen, steps_per_epoch=steps_per_epoch)
        for step in range(chosen.epochs * steps_per_epoch)
    ]
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.parametrize(
    ("changes", "expected", "options"),
    [
        (
            {"optimizer": "sgd", "momentum": 0.8, "weight_decay": 0.01},
            torch.optim.SGD,
            {"lr": LR, "momentum": 0.8, "weight_decay": 0.01, "nesterov": False},
        ),
        ({"optimizer": "adamw", "weight_decay": 0.01}, torch.optim.AdamW, {"lr": LR, "weight_decay": 0.01}),
        ({"optimizer": "adamw", "momentum": None}, torch.optim.AdamW, {"lr": LR, "weight_decay": 5e-4}),
    ],
)
def test_settings_reach_the_optimizer(changes: dict[str, Any], expected: type, options: dict[str, Any]) -> None:
    layer = nn.Linear(2, 2)
    optimizer, _ = build_optimizer(layer, train_settings(**changes), steps_per_epoch=STEPS)
    assert type(optimizer) is expected
    (group,) = optimizer.param_groups
    assert {option: group["initial_lr" if option == "lr" else option] for option in options} == options
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in layer.parameters()]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_state_survives_a_file_and_goes_on(name: str) -> None:
    chosen = train_settings(optimizer=name, warmup_epochs=1)
    optimizer, schedule = build_optimizer(nn.Linear(1, 1), chosen, steps_per_epoch=STEPS)
    whole = rates(optimizer, schedule, 10 * STEPS)
    first, first_schedule = build_optimizer(nn.Linear(1, 1), chosen, steps_per_epoch=STEPS)
    begin = rates(first, first_schedule, 12)
    file = BytesIO()
    torch.save([first.state_dict(), first_schedule.state_dict()], file)
    file.seek(0)
    second, second_schedule = build_optimizer(nn.Linear(1, 1), chosen, steps_per_epoch=STEPS)
    for part, state in zip((second, second_schedule), torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    assert begin + rates(second, second_schedule, 10 * STEPS - 12) == whole
