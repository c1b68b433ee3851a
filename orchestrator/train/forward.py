"""From a batch to its loss: mixing, network and cross-entropy, as Python runs them or compiled by torch.

What is random is drawn before, so that nothing here but a network's dropout is left to chance. The function is compiled
once for a process and takes networks as arguments: torch compiles it anew for another architecture, augmentation, shape
or setting, and cells of a slot that differ in nothing of it share what was compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augment import Augmentation, Normalization, Window
from orchestrator.errors import CellError, first_line
from orchestrator.experiment import ArithmeticSpec, Compile
from orchestrator.waiting import waiting_for

# By whether CUDA graphs are wanted: torch's names.
_MODES = {
    ("default", False): "default",
    ("default", True): "reduce-overhead",
    ("max-autotune", False): "max-autotune-no-cudagraphs",
    ("max-autotune", True): "max-autotune",
}
# A slot may see as many kinds of cells as an experiment has; torch gives up after eight.
_MAX_KINDS = 10_000


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
        self._compile = (arithmetic.compile if arithmetic is not None else None) or "off"
        self._cuda_graphs = cuda_graphs and self._compile != "off"
        self._seen: set[type[Augmentation]] = set()

    def begin_step(self) -> None:
        """Say that nothing is needed any more of what the step before had on the device."""
        if self._cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def __call__(self, model: nn.Module, augment: Augmentation, batch: Batch, objective: Objective) -> Tensor:
        """Return the loss of a batch.

        Raises:
            CellError: It cannot be compiled.
        """
        if self._compile == "off":
            return forward_loss(model, augment, batch, objective)
        run = compiled_loss(self._compile, self._cuda_graphs)
        if type(augment) in self._seen:
            return run(model, augment, batch, objective)
        self._seen.add(type(augment))
        with waiting_for(f"torch.compile to compile the step (resources.compile={self._compile})"), _explaining():
            return run(model, augment, batch, objective)


@contextmanager
def _explaining() -> Iterator[None]:
    """Raise CellError for what cannot be compiled."""
    from torch._dynamo.exc import TorchDynamoException  # seconds, unless something is compiled

    try:
        yield
    except TorchDynamoException as error:
        cause = getattr(error, "inner_exception", error)
        raise CellError(
            f"the step cannot be compiled: {type(cause).__name__}: {first_line(cause)}",
            remedy="set resources.compile to off, or mend that: on a CPU it needs a C++ compiler",
        ) from error


@cache
def compiled_loss(wanted: Compile, cuda_graphs: bool) -> Callable[..., Tensor]:
    """Return `forward_loss` compiled, the same for all cells of this process."""
    import torch._dynamo.config as settings  # likewise

    settings.recompile_limit = settings.accumulated_recompile_limit = _MAX_KINDS
    # Rather than going on uncompiled, in silence.
    settings.fail_on_recompile_limit_hit = True
    # A shape that changes is another kind of cell: numbers do not depend on what else a slot has trained.
    compiled: Callable[..., Tensor] = torch.compile(forward_loss, mode=_MODES[wanted, cuda_graphs], dynamic=False)
    return compiled
