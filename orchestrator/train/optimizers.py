"""The optimizer of a cell and its learning rate schedule."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from orchestrator.experiment import TrainSettings


def build_optimizer(
    module: nn.Module, settings: TrainSettings, *, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return the optimizer and its learning rate schedule, which advances once per step."""
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adamw":
        optimizer = torch.optim.AdamW(module.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    else:
        optimizer = torch.optim.SGD(
            module.parameters(),
            lr=settings.lr,
            momentum=settings.momentum or 0.0,
            weight_decay=settings.weight_decay,
        )
    factor = partial(lr_factor, settings=settings, steps_per_epoch=steps_per_epoch)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def lr_factor(step: int, *, settings: TrainSettings, steps_per_epoch: int) -> float:
    """Return the factor of ``train.lr`` at `step` (0-based): linear warm-up, then a half cosine or steps down."""
    warmup_steps, total_steps = settings.warmup_epochs * steps_per_epoch, settings.epochs * steps_per_epoch
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if settings.schedule == "cosine":
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return settings.lr_decay ** sum(step >= milestone * steps_per_epoch for milestone in settings.milestones)
