"""The exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged_model(module: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a network whose weights follow it slowly; the first ``update_parameters`` makes them equal.

    Buffers are averaged as well, as in the trainings of torchvision and timm: the running statistics of batch norm
    belong to the weights that made them. Integers among them, a count or an index into a table, are the network's.

    Args:
        module: The network, on its device.
        decay: What is left of the average after each step, above 0 and below 1.
    """
    # Given no device, its count of updates stays on the CPU.
    return _Average(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


class _Average(AveragedModel):
    """torch's, whose own update copies the count to the GPU at each step, and the host waits for that."""

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Follow the weights of `model`, and its buffers."""
        follows = bool(self.n_averaged > 0)
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for kept, new in zip(_tensors_of(self.module), _tensors_of(model), strict=True):
            if follows and (kept.is_floating_point() or kept.is_complex()):
                averaged.append(kept)
                current.append(new)
            else:
                # Of integers, too: torch would round an average down, and 168 · 0.999 + 168 · 0.001 becomes 167.
                kept.copy_(new)
        if averaged:
            assert self.multi_avg_fn is not None, "it is given above"
            self.multi_avg_fn(averaged, current, self.n_averaged)
        self.n_averaged += 1


def _tensors_of(module: nn.Module) -> Iterator[Tensor]:
    return (tensor.detach() for tensor in chain(module.parameters(), module.buffers()))
