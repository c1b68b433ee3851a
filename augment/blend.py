"""Augmentations that blend whole images: every output is a weighted sum of samples of the batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augment.contract import Augmentation
from augment.mixing import mix, mix_pixels, mix_targets
from augment.pixels import Normalization, Window


@dataclass(frozen=True, eq=False)
class BlendDraw:
    """What is blended, in which proportion.

    Attributes:
        indices: int64 ``[B, N]``; row i lists the samples of output i, the sample i first.
        weights: float64 ``[N]``, the same for all outputs, or ``[B, N]``; each row sums to 1.
    """

    indices: Tensor
    weights: Tensor

    def only_if(self, is_mixed: Tensor) -> BlendDraw:
        """Return this where `is_mixed` (bool, a scalar on the device), else the draw that leaves the batch as it is."""
        # Not by index: assigning a number to an element waits for the device.
        themselves = torch.arange(self.weights.shape[-1], device=self.weights.device) == 0
        return BlendDraw(self.indices, torch.where(is_mixed, self.weights, themselves.to(self.weights.dtype)))


@dataclass(frozen=True)
class Blend(Augmentation):
    """Blends images and targets as a `BlendDraw` says; what is drawn makes the method."""

    @abstractmethod
    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw samples and weights; see `Augmentation.draw`."""

    def apply(self, images: Tensor, targets: Tensor, draw: BlendDraw) -> tuple[Tensor, Tensor]:
        """Blend images and targets with the same weights; see `Augmentation.apply`."""
        mixed = mix(images, draw.indices, draw.weights, backend=self.backend)
        return mixed, mix_targets(targets, draw.indices, draw.weights)

    def apply_to_pixels(
        self,
        pixels: Tensor,
        targets: Tensor,
        draw: BlendDraw,
        *,
        window: Window | None,
        normalization: Normalization,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Do it in one pass where the backend can; see `Augmentation.apply_to_pixels`."""
        images = mix_pixels(
            pixels,
            draw.indices,
            draw.weights,
            window=window,
            normalization=normalization,
            dtype=dtype,
            backend=self.backend,
        )
        return images, mix_targets(targets, draw.indices, draw.weights)
