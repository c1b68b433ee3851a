"""The training that a few lines of plain torch make of a cell without mixing, for tests to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from augment import Normalization
from orchestrator.data import Dataset
from orchestrator.experiment.cells import Cell
from orchestrator.train.batches import epoch_order

Weights = dict[str, Tensor]


def all_alike(model: nn.Module) -> list[dict[str, Any]]:
    return [{"params": list(model.parameters())}]


@dataclass(frozen=True)
class Recipe:
    """What a user would write in torch.

    Attributes:
        criterion: Takes logits and labels.
        groups: Makes the optimizer's groups of a model.
        options: Of SGD, beside rate, momentum 0.9 and decay.
        schedule: Takes the optimizer and the number of all steps.
        batches_per_step: How many batches, of all ranks, are averaged for one step.
        ema_decay: Of the average; None for none.
    """

    criterion: Callable[[Tensor, Tensor], Tensor] = field(default_factory=nn.CrossEntropyLoss)
    groups: Callable[[nn.Module], list[dict[str, Any]]] = all_alike
    options: dict[str, Any] = field(default_factory=dict)
    schedule: Callable[[torch.optim.Optimizer, int], LRScheduler] = CosineAnnealingLR
    batches_per_step: int = 1
    ema_decay: float | None = None


def train_plainly(cell: Cell, dataset: Dataset, model: nn.Module, recipe: Recipe) -> tuple[Weights, Weights]:
    """Train `model` and return its weights at the end, and their average."""
    train = cell.train
    model.to(memory_format=torch.channels_last).train()
    steps = [batches for epoch in range(1, train.epochs + 1) for batches in _steps(cell, dataset, epoch, recipe)]
    optimizer = torch.optim.SGD(
        recipe.groups(model), lr=train.lr, momentum=0.9, weight_decay=train.weight_decay, **recipe.options
    )
    schedule = recipe.schedule(optimizer, len(steps))
    normalization = Normalization(dataset.mean, dataset.std, device=torch.device("cpu"))
    average: Weights = {}
    for batches in steps:
        optimizer.zero_grad()
        for indices in batches:
            pixels, labels = dataset.images[dataset.train.rows[indices]], dataset.train.labels[indices]
            images = normalization(pixels.contiguous(memory_format=torch.channels_last))
            (recipe.criterion(model(images), labels) / len(batches)).backward()
        optimizer.step()
        schedule.step()
        average = _followed(average, model.state_dict(), recipe.ema_decay or 0.0)
    return model.state_dict(), average


def _steps(cell: Cell, dataset: Dataset, epoch: int, recipe: Recipe) -> list[list[Tensor]]:
    """The batches of each step of an epoch: those of all ranks, one after the other."""
    of_ranks = [
        epoch_order(
            len(dataset.train),
            batch_size_per_worker=cell.train.batch_size_per_worker,
            seed=cell.seed,
            epoch=epoch,
            rank=rank,
            world_size=cell.workers,
        )
        for rank in range(cell.workers)
    ]
    batches = [batch for of_all in zip(*of_ranks, strict=True) for batch in of_all]
    size = recipe.batches_per_step
    return [batches[begin : begin + size] for begin in range(0, len(batches), size)]


def _followed(average: Weights, current: Weights, decay: float) -> Weights:
    if not average:
        return {name: tensor.clone() for name, tensor in current.items()}
    return {
        name: decay * average[name] + (1 - decay) * tensor if tensor.is_floating_point() else tensor.clone()
        for name, tensor in current.items()
    }
