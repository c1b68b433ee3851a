"""What the keys of ``train`` do, by the training that plain torch makes of the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from reference_loop import Recipe, train_plainly
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, OneCycleLR, PolynomialLR
from trainings import (
    CPU,
    PollUntil,
    Trained,
    evaluate,
    initial_weights,
    make_cell,
    numbers,
    random_dataset,
    run,
    same_weights,
    weights_in,
)

from orchestrator.errors import CellError
from orchestrator.experiment.cells import Cell
from orchestrator.models.registry import build_model
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.train import forward, requests
from orchestrator.train.audit import read_figures
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks
from orchestrator.train.requests import StoppedError
from orchestrator.train.snapshot import evaluated_weights
from orchestrator.train.trained_network import best_learner

LR = 0.05
# Four batches in an epoch of the random images.
SMALL: dict[str, Any] = {"epochs": 2, "batch_size_per_worker": 8, "lr": LR, "weight_decay": 0.1}
ALL: dict[str, Any] = {
    **{"label_smoothing": 0.2, "nesterov": True, "accumulate": 3, "ema_decay": 0.7, "schedule": "onecycle"},
    **{"no_decay_norm_bias": True, "class_weights": "balanced", "clip_grad_norm": 1.0, "mixing_off_epochs": 1},
}


def plain_cell(**settings: Any) -> Cell:
    """A cell whose images are neither cut nor mixed."""
    cell = make_cell(augment="erm", **(SMALL | settings))
    return cell.model_copy(update={"dataset": cell.dataset.model_copy(update={"crop_padding": 0})})


def norms_apart(model: nn.Module) -> list[dict[str, Any]]:
    apart = [
        parameter
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, nn.BatchNorm2d) or name == "bias"
    ]
    kept = {id(parameter) for parameter in apart}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in kept]
    return [{"params": rest}, {"params": apart, "weight_decay": 0.0}]


CASES: dict[str, tuple[dict[str, Any], Recipe]] = {
    "label_smoothing": ({"label_smoothing": 0.2}, Recipe(nn.CrossEntropyLoss(label_smoothing=0.2))),
    "nesterov": ({"nesterov": True}, Recipe(options={"nesterov": True})),
    "ema_decay": ({"ema_decay": 0.7}, Recipe(ema_decay=0.7)),
    # Of four batches the last is left over, and is a step of its own.
    "accumulate": ({"accumulate": 3}, Recipe(batches_per_step=3)),
    "accumulate_2": ({"accumulate": 2, "ema_decay": 0.7}, Recipe(batches_per_step=2, ema_decay=0.7)),
    "no_decay_norm_bias": ({"no_decay_norm_bias": True}, Recipe(groups=norms_apart)),
    "linear": ({"schedule": "linear"}, Recipe(schedule=lambda sgd, steps: PolynomialLR(sgd, steps, power=1))),
    "constant": ({"schedule": "constant"}, Recipe(schedule=lambda sgd, _: ConstantLR(sgd, factor=1))),
    "onecycle": (
        {"schedule": "onecycle"},
        Recipe(schedule=lambda sgd, steps: OneCycleLR(sgd, LR, total_steps=steps, cycle_momentum=False)),
    ),
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(plain_cell(), random_dataset(), tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("name", CASES)
def test_it_trains_as_torch_does(name: str, usual: Trained, tmp_path: Path) -> None:
    changes, recipe = CASES[name]
    cell, dataset = plain_cell(**changes), random_dataset()
    model = build_model("convnet", num_classes=10, num_channels=1, image_size=8)
    model.load_state_dict(initial_weights(cell))
    weights, average = train_plainly(cell, dataset, model, recipe)
    trained = run(cell, dataset, tmp_path)
    torch.testing.assert_close(trained.weights, weights)
    if recipe.ema_decay is not None:
        torch.testing.assert_close(evaluated_at(trained, 2), average)
    assert not same_weights(evaluated_at(trained, 2), evaluated_at(usual, 2)), "the key does something"


def evaluated_at(trained: Trained, epoch: int) -> dict[str, Tensor]:
    """The weights that were validated after an epoch."""
    state = checkpoint.load(trained.folder / f"epoch-{epoch}.pt")
    assert state is not None
    return evaluated_weights(state)


# Label smoothing


def test_soft_labels_are_smoothed_as_torch_does_and_weighted() -> None:
    cell = make_cell(augment="mixup", **(SMALL | {"label_smoothing": 0.2, "class_weights": "balanced"}))
    dataset = random_dataset()
    learner = Learner(cell, dataset, device=CPU, ranks=Ranks(CPU), backend="torch", steps_per_epoch=4)
    pixels, labels = dataset.images[:8], dataset.train.labels[:8]
    images, targets = learner.mixed(pixels, labels, 10, torch.Generator().manual_seed(3))
    weights = torch.tensor([32 / (10 * n) for n in dataset.train.labels.bincount().tolist()])
    assert targets.amax(1).min() < 1, "they are soft"
    with torch.no_grad():
        expected = nn.CrossEntropyLoss(weight=weights, label_smoothing=0.2)(learner.module(images), targets)
    loss = learner.step(pixels, labels, torch.Generator().manual_seed(3))
    torch.testing.assert_close(loss, expected)


# The average of the weights


def test_the_average_is_validated_tested_and_kept(tmp_path: Path) -> None:
    cell, dataset = plain_cell(ema_decay=0.9), random_dataset()
    trained = run(cell, dataset, tmp_path)
    for epoch in (1, 2):
        kept = evaluated_at(trained, epoch)
        assert not same_weights(kept, weights_in(tmp_path / f"epoch-{epoch}.pt"))
        found = trained.history[epoch - 1].metrics
        expected = evaluate(kept, dataset, dataset.val)
        assert {name: found[f"val/{name}"] for name in expected} == pytest.approx(expected, rel=1e-4)
    best = int(trained.result.metrics["best/epoch"])
    assert same_weights(trained.best_weights, evaluated_at(trained, best))
    expected = evaluate(trained.best_weights, dataset, dataset.test)
    assert {name: trained.result.metrics[f"test/{name}"] for name in expected} == pytest.approx(expected, rel=1e-4)
    again = best_learner(cell, dataset, CellFolder(tmp_path))
    assert same_weights(again.evaluated.state_dict(), trained.best_weights), "what predicts later has them, too"


# Accumulation


def test_more_batches_than_an_epoch_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"train\.accumulate=5 batches are to make one step, and an epoch has 4"):
        run(plain_cell(accumulate=5), random_dataset(), tmp_path)


# The end of the mixing


def test_the_last_epochs_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    soft: list[bool] = []
    mixed = forward.mixed_batch

    def watched(*arguments: Any) -> tuple[Tensor, Tensor]:
        images, targets = mixed(*arguments)
        if targets.shape[1] == 10:
            soft.append(bool(targets.amax(1).min() < 1))
        return images, targets

    monkeypatch.setattr(forward, "mixed_batch", watched)
    caplog.set_level(logging.INFO)
    settings = SMALL | {"epochs": 3, "mixing_off_epochs": 2}
    (tmp_path / "audit").mkdir()  # its batches would be watched, too
    trained = run(make_cell(augment="zeta_mixup", **settings), random_dataset(), tmp_path)
    assert soft == 4 * [True] + 8 * [False]
    assert [entry.metrics["train/mixed"] for entry in trained.history] == [1, 0, 0]
    assert [record.getMessage()[-45:] for record in caplog.records if "is not mixed" in record.getMessage()] == [
        f"epoch {epoch} is not mixed: train.mixing_off_epochs" for epoch in (2, 3)
    ]


def test_before_that_it_trains_as_it_would_without_an_end(tmp_path: Path) -> None:
    dataset = random_dataset()
    with_end, without = (
        run(make_cell(augment="zeta_mixup", **(SMALL | changes)), dataset, tmp_path / str(changes))
        for changes in ({"mixing_off_epochs": 1}, {})
    )
    (first, second), (same, other) = numbers(with_end.history), numbers(without.history)
    del first["train/mixed"], second["train/mixed"]
    assert first == same
    assert second != other
    figures = read_figures(with_end.folder / "audit")
    assert figures is not None
    assert figures.mixed_epochs == 1
    assert "mixed_epochs" not in json.loads((without.folder / "audit" / "audit.json").read_text())


# Going on


NADAM = {"optimizer": "nadam", "lr": 0.01, "ema_decay": 0.9, "accumulate": 2, "schedule": "linear"}
# An epoch is four batches, and as many of its validation: between two batches of a step, after the step of the batch
# that is left over, and between two batches of the epoch that is not mixed.
WITHIN = [Point(epoch, step) for epoch in (0, 1) for step in (1, 2)]
SOME, EVERY = (2, 4, 10), range(1, 21)


@pytest.mark.parametrize(
    ("settings", "moments"),
    [
        (ALL, SOME),
        pytest.param(ALL, EVERY, marks=pytest.mark.slow),
        pytest.param(NADAM, EVERY, marks=pytest.mark.slow),
    ],
    ids=["some", "every", "every_nadam"],
)
def test_stopped_anywhere_it_ends_the_same(
    settings: dict[str, Any], moments: Sequence[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also within the batches of one step, which is finished first: no batch is trained on twice."""
    monkeypatch.setattr(requests, "POLL_EVERY_S", 0)
    batches = []
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda *args: batches.append(1) or step(*args))
    cell, dataset = make_cell(**(SMALL | settings)), random_dataset()
    undisturbed = PollUntil()
    whole = run(cell, dataset, tmp_path / "whole", poll=undisturbed)
    assert (len(batches), undisturbed.asked) == (8, 20)
    saved = set()
    for moment in moments:
        folder = tmp_path / str(moment)
        batches.clear()
        with pytest.raises(StoppedError):
            run(cell, dataset, folder, poll=PollUntil(moment))
        saved.add(CellFolder(folder).points()[0])
        again = run(cell, dataset, folder)
        assert len(batches) == 8
        assert numbers(again.history) == numbers(whole.history)
        assert again.result.metrics == whole.result.metrics
        assert same_weights(again.best_weights, whole.best_weights)
    assert {Point(0, 1), Point(0, 2), Point(1, 1)} <= saved <= {Point(1), Point(2), *WITHIN}, "steps that are whole"
