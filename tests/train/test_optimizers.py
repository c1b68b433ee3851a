from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
import timm.optim  # type: ignore[import-untyped]
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
)

from orchestrator.errors import CellError
from orchestrator.experiment.optimizer_info import OPTIMIZERS, OptimizerName
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.train import optimizers
from orchestrator.train.optimizers import build_optimizer
from orchestrator.train.schedules import lr_factor

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


@pytest.mark.parametrize("epochs", [1, 2, 10])
@pytest.mark.parametrize("steps", [1, 3, STEPS])
def test_onecycle_is_torchs(epochs: int, steps: int) -> None:
    optimizer = reference()
    schedule = OneCycleLR(optimizer, LR, total_steps=epochs * steps, cycle_momentum=False)
    expected = rates(optimizer, schedule, epochs * steps - 1)
    expected.append(float(optimizer.param_groups[0]["lr"]))
    chosen = train_settings(schedule="onecycle", epochs=epochs, warmup_epochs=1)
    optimizer, ours_schedule = build_optimizer(nn.Linear(1, 1), chosen, steps_per_epoch=steps)
    assert rates(optimizer, ours_schedule, epochs * steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("warmup_epochs", [0, 2])
def test_linear_is_torchs(warmup_epochs: int) -> None:
    optimizer, num_steps = reference(), (10 - warmup_epochs) * STEPS
    expected = rates(optimizer, PolynomialLR(optimizer, total_iters=num_steps, power=1.0), num_steps)
    found = ours(schedule="linear", warmup_epochs=warmup_epochs)[warmup_epochs * STEPS :]
    assert found == pytest.approx(expected, rel=1e-9)
    assert found[0] == LR
    assert found[-1] > 0, "no step is taken with a rate of zero"


def test_constant_stays_after_the_warmup() -> None:
    found = ours(schedule="constant", warmup_epochs=2)
    assert found[: 2 * STEPS] == ours(schedule="cosine", warmup_epochs=2)[: 2 * STEPS]
    assert found[2 * STEPS :] == [LR] * 8 * STEPS


def test_warmup_may_be_the_whole_training() -> None:
    found = ours(schedule="cosine", warmup_epochs=10)
    assert found == pytest.approx([LR * (step + 1) / (10 * STEPS) for step in range(10 * STEPS)])


@given(
    epochs=st.integers(1, 8),
    warmup_epochs=st.integers(0, 8),
    steps_per_epoch=st.integers(1, 5),
    schedule=st.sampled_from(["cosine", "multistep", "linear", "onecycle", "constant"]),
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
        ({"nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ({"optimizer": "adamw", "nesterov": True, "betas": (0.8, 0.9)}, torch.optim.AdamW, {"betas": (0.8, 0.9)}),
        ({"optimizer": "adam", "weight_decay": 0.01}, torch.optim.Adam, {"weight_decay": 0.01, "betas": (0.9, 0.999)}),
        ({"optimizer": "nadam"}, torch.optim.NAdam, {"lr": LR, "weight_decay": 5e-4}),
        ({"optimizer": "radam"}, torch.optim.RAdam, {"lr": LR, "weight_decay": 5e-4}),
        ({"optimizer": "rmsprop", "momentum": 0.5}, torch.optim.RMSprop, {"lr": LR, "momentum": 0.5}),
        ({"optimizer": "adagrad"}, torch.optim.Adagrad, {"lr": LR, "weight_decay": 5e-4}),
        ({"optimizer": "adafactor"}, torch.optim.Adafactor, {"lr": LR, "weight_decay": 5e-4}),
        ({"optimizer": "lamb"}, "Lamb", {"lr": LR, "weight_decay": 5e-4, "betas": (0.9, 0.999)}),
        ({"optimizer": "lars", "nesterov": True}, "Lars", {"lr": LR, "momentum": 0.9, "nesterov": True}),
        ({"optimizer": "lion", "betas": (0.95, 0.98)}, "Lion", {"lr": LR, "betas": (0.95, 0.98)}),
        ({"optimizer": "madgrad", "momentum": 0.5}, "MADGRAD", {"lr": LR, "momentum": 0.5}),
    ],
)
def test_settings_reach_the_optimizer(changes: dict[str, Any], expected: type | str, options: dict[str, Any]) -> None:
    layer = nn.Linear(2, 2)
    optimizer, _ = build_optimizer(layer, train_settings(**changes), steps_per_epoch=STEPS)
    assert type(optimizer) is (getattr(timm.optim, expected) if isinstance(expected, str) else expected)
    (group,) = optimizer.param_groups
    assert {option: group["initial_lr" if option == "lr" else option] for option in options} == options
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in layer.parameters()]


def test_norms_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(2), nn.Flatten(), nn.Linear(8, 2))
    settings = train_settings(no_decay_norm_bias=True, weight_decay=0.01)
    optimizer, _ = build_optimizer(model, settings, steps_per_epoch=STEPS)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {group["weight_decay"]: [names[id(entry)] for entry in group["params"]] for group in optimizer.param_groups}
    assert found == {
        0.01: ["0.weight", "4.weight"],
        0.0: ["0.bias", "1.weight", "1.bias", "2.weight", "4.bias"],
    }
    alike, _ = build_optimizer(nn.Linear(1, 1, bias=False), settings, steps_per_epoch=STEPS)
    assert [group["weight_decay"] for group in alike.param_groups] == [0.01], "no group is empty"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_said_of_an_optimizer_is_so(name: OptimizerName) -> None:
    info = OPTIMIZERS[name]
    optimizer, _ = build_optimizer(model := nn.Linear(4, 3), train_settings(optimizer=name), steps_per_epoch=1)
    # What it has of its own.
    usual = type(optimizer)(nn.Linear(1, 1).parameters(), lr=LR).param_groups[0]
    assert usual.get("betas") == info.betas
    assert ("momentum" in usual, "nesterov" in usual) == (info.momentum, info.nesterov)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    for parameter in model.parameters():
        kept = [tensor for tensor in optimizer.state[parameter].values() if torch.is_tensor(tensor) and tensor.dim()]
        assert sum(tensor.numel() for tensor in kept) <= max(info.state_copies * parameter.numel(), 4 + 3)


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None if name == "timm" else name)
    build_optimizer(nn.Linear(1, 1), train_settings(), steps_per_epoch=STEPS)
    with pytest.raises(CellError, match=r"train\.optimizer=lion is timm's, which is not installed") as refused:
        build_optimizer(nn.Linear(1, 1), train_settings(optimizer="lion"), steps_per_epoch=STEPS)
    assert "install zetasweep[timm] on every machine, or take one of sgd, adam, adamw, " in str(refused.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_survives_a_file_and_goes_on(name: OptimizerName) -> None:
    """To the bit: the rates, and the weights."""
    chosen = train_settings(optimizer=name, warmup_epochs=1, lr=0.01, no_decay_norm_bias=True, weight_decay=0.1)

    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler, first: int, end: int) -> Any:
        for step in range(first, end):
            optimizer.zero_grad()
            images = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            model(images).square().sum().backward()
            optimizer.step()
            schedule.step()
        return [*model.state_dict().values(), torch.tensor(schedule.get_last_lr())]

    def made() -> tuple[nn.Module, torch.optim.Optimizer, LRScheduler]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        return model, *build_optimizer(model, chosen, steps_per_epoch=STEPS)

    whole, first, second, file = steps(*made(), 0, 20), made(), made(), BytesIO()
    steps(*first, 0, 12)
    torch.save([part.state_dict() for part in first], file)
    file.seek(0)
    for part, state in zip(second, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    again = steps(*second, 12, 20)
    assert all(torch.equal(one, other) for one, other in zip(whole, again, strict=True))
