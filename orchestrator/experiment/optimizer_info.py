"""The optimizers that an experiment can name: whose they are, and which keys of ``train`` each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal[
    "sgd", "adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adafactor", "lamb", "lars", "lion", "madgrad"
]


@dataclass(frozen=True)
class OptimizerInfo:
    """What an optimizer is, and what it reads beside ``lr`` and ``weight_decay``.

    Attributes:
        class_name: Of the class in ``torch.optim``, or in ``timm.optim``.
        state_copies: How many tensors of a weight's size it keeps of each weight, at most.
        betas: Where ``train.betas`` says nothing; None if it has none.
        momentum: Whether it reads ``train.momentum``.
        nesterov: Whether it reads ``train.nesterov``.
        package: ``torch``, or ``timm``, which is an extra.
    """

    class_name: str
    state_copies: int
    betas: tuple[float, float] | None = None
    momentum: bool = False
    nesterov: bool = False
    package: Literal["torch", "timm"] = "torch"


_OF_ADAM = (0.9, 0.999)
OPTIMIZERS: dict[OptimizerName, OptimizerInfo] = {
    "sgd": OptimizerInfo("SGD", 1, momentum=True, nesterov=True),
    "adam": OptimizerInfo("Adam", 2, _OF_ADAM),
    "adamw": OptimizerInfo("AdamW", 2, _OF_ADAM),
    "nadam": OptimizerInfo("NAdam", 2, _OF_ADAM),
    "radam": OptimizerInfo("RAdam", 2, _OF_ADAM),
    "rmsprop": OptimizerInfo("RMSprop", 2, momentum=True),
    "adagrad": OptimizerInfo("Adagrad", 1),
    "adafactor": OptimizerInfo("Adafactor", 1),
    "lamb": OptimizerInfo("Lamb", 2, _OF_ADAM, package="timm"),
    "lars": OptimizerInfo("Lars", 1, momentum=True, nesterov=True, package="timm"),
    "lion": OptimizerInfo("Lion", 1, (0.9, 0.99), package="timm"),
    "madgrad": OptimizerInfo("MADGRAD", 3, momentum=True, package="timm"),
}
