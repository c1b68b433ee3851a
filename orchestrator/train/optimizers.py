"""The optimizer of a cell, with its learning rate schedule."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from orchestrator.errors import CellError
from orchestrator.experiment import OPTIMIZERS, OptimizerName, TrainSettings
from orchestrator.train.parameter_groups import parameter_groups, with_head
from orchestrator.train.schedules import lr_factor


def build_optimizer(
    module: nn.Module,
    settings: TrainSettings,
    *,
    steps_per_epoch: int,
    head: Collection[str] = (),
    head_lr: float | None = None,
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return the optimizer of what is trained and its learning rate schedule, which advances once per step.

    Args:
        module: The network; what has no gradients is left out.
        settings: How it is trained.
        steps_per_epoch: How often the optimizer steps in an epoch.
        head: The names of parameters with a learning rate of their own.
        head_lr: Their rate, times ``train.lr``; None is 1. The schedule is the same for both.

    Raises:
        CellError: The package of the optimizer is not installed.
    """
    check_optimizer(settings.optimizer)
    info = OPTIMIZERS[settings.optimizer]
    # timm takes seconds to import.
    make: Callable[..., torch.optim.Optimizer] = getattr(import_module(f"{info.package}.optim"), info.class_name)
    groups = parameter_groups(module, no_decay_norm_bias=settings.no_decay_norm_bias)
    groups = with_head(groups, module, head, head_lr=(head_lr or 1.0) * settings.lr)
    optimizer = make(groups, lr=settings.lr, weight_decay=settings.weight_decay, **_options(settings))
    factor = partial(lr_factor, settings=settings, steps_per_epoch=steps_per_epoch)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def check_optimizer(name: OptimizerName) -> None:
    """Raise CellError if the package that has an optimizer is not installed."""
    package = OPTIMIZERS[name].package
    if find_spec(package) is None:
        others = ", ".join(other for other, info in OPTIMIZERS.items() if info.package == "torch")
        raise CellError(
            f"train.optimizer={name} is {package}'s, which is not installed here",
            remedy=f"install zetasweep[{package}] on every machine, or take one of {others}",
        )


def _options(settings: TrainSettings) -> dict[str, Any]:
    """Return what the optimizer reads beside rate and decay."""
    info, options = OPTIMIZERS[settings.optimizer], dict[str, Any]()
    if info.momentum:
        options["momentum"] = settings.momentum or 0.0
    if info.nesterov:
        options["nesterov"] = bool(settings.nesterov)
    if info.betas is not None:
        options["betas"] = settings.betas or info.betas
    return options
