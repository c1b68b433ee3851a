"""Which parameters are trained, and which of them with a learning rate of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from torch import nn

Group = dict[str, Any]
"""As torch's optimizers take it: ``params``, and what is other for them than usual."""


def parameter_groups(module: nn.Module, *, no_decay_norm_bias: bool | None) -> list[Group]:
    """Return all parameters, or those that decay and those that do not, the rule being timm's: one dimension."""
    parameters = list(module.parameters())
    if not no_decay_norm_bias:
        return [{"params": parameters}]
    decaying = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[Group] = [{"params": decaying}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def with_head(groups: Iterable[Group], module: nn.Module, head: Collection[str], *, head_lr: float) -> list[Group]:
    """Return `groups` of the parameters that are trained, the head's apart, behind the others, with their own rate.

    Args:
        groups: Of all parameters of `module`.
        module: The network.
        head: The names of its head's parameters.
        head_lr: The learning rate of the head.
    """
    of_head = {id(parameter) for name, parameter in module.named_parameters() if name in head}
    backbone: list[Group] = []
    heads: list[Group] = []
    for group in groups:
        trained = [parameter for parameter in group["params"] if parameter.requires_grad]
        backbone.append({**group, "params": [each for each in trained if id(each) not in of_head]})
        heads.append({**group, "params": [each for each in trained if id(each) in of_head], "lr": head_lr})
    return [group for group in (*backbone, *heads) if group["params"]]
