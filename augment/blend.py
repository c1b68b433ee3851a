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
