"""From a batch to its loss: mixing, network and cross-entropy, as Python runs them or compiled by torch.

What is random is drawn before, so that nothing here but a network's dropout is left to chance. The function is compiled
once for a process and takes networks as arguments: torch compiles it anew for another architecture, augmentation, shape
or setting, and cells of a slot that differ in nothing of it share what was compiled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augment import Augmentation, Normalization, Window
from orchestrator.experiment import ArithmeticSpec
from orchestrator.train.compiling import RECORDED_GRAPHS, compiled, explained


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of which all is drawn.

    Attributes:
        pixels: uint8 ``[B, C, S, S]`` on the device.
        window: What is left to be cut out of them; None for nothing.
        targets: float32 ``[B, num_classes]``, one-hot.
        draw: The augmentation's.
    """

    pixels: Tensor
    window: Window | None
    targets: Tensor
    draw: Any


@dataclass(frozen=True, eq=False)
class Objective:
    """What a training makes of a batch.

    Attributes:
        normalization: Of the images.
        bf16_on: The kind of device that computes in bfloat16; None for float32.
        class_weights: float32 ``[num_classes]``; None for equal ones.
        label_smoothing: From 0 to below 1.
    """

    normalization: Normalization
    bf16_on: str | None
    class_weights: Tensor | None
    label_smoothing: float


def autocast(objective: Objective) -> AbstractContextManager[Any]:
    """Return in what the network computes."""
    return torch.autocast(objective.bf16_on, dtype=torch.bfloat16) if objective.bf16_on else nullcontext()


def mixed_batch(augment: Augmentation, batch: Batch, objective: Objective) -> tuple[Tensor, Tensor]:
    """Return images, cropped, mirrored, normalised and mixed, and their targets."""
    return augment.apply_to_pixels(
        batch.pixels,
        batch.targets,
        batch.draw,
        window=batch.window,
        normalization=objective.normalization,
        # What autocast would make of them in the first layer.
        dtype=torch.bfloat16 if objective.bf16_on else torch.float32,
    )


def forward_loss(model: nn.Module, augment: Augmentation, batch: Batch, objective: Objective) -> Tensor:
    """Return the loss of a batch, a scalar."""
    images, targets = mixed_batch(augment, batch, objective)
    with autocast(objective):
        logits = model(images)
    return F.cross_entropy(
        logits.float(), targets, weight=objective.class_weights, label_smoothing=objective.label_smoothing
    )


class ForwardPass:
    """`forward_loss` of one training, compiled if its cell says so.

    Args:
        arithmetic: The cell's.
        cuda_graphs: Whether what is compiled is launched as a CUDA graph.
    """

    def __init__(self, arithmetic: ArithmeticSpec | None, *, cuda_graphs: bool) -> None:
        spec = arithmetic or ArithmeticSpec()
        self._compile = spec.compile or "off"
        self._deterministic = spec.deterministic is not False
        self._cuda_graphs = cuda_graphs and self._compile != "off"
        if self._cuda_graphs:
            RECORDED_GRAPHS.begin_network()

    def begin_step(self) -> None:
        """Say that nothing is needed any more of what the step before had on the device."""
        if self._cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def explained(self) -> AbstractContextManager[Any]:
        """Return in what the loss is computed and its backward pass is run; see `compiling.explained`."""
        return nullcontext() if self._compile == "off" else explained()

    def __call__(self, model: nn.Module, augment: Augmentation, batch: Batch, objective: Objective) -> Tensor:
        """Return the loss of a batch."""
        if self._compile == "off":
            return forward_loss(model, augment, batch, objective)
        run = compiled(forward_loss, self._compile, cuda_graphs=self._cuda_graphs, deterministic=self._deterministic)
        loss: Tensor = run(model, augment, batch, objective)
        return loss
