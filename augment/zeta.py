"""ζ-mixup: every output is a weighted sum of N samples of the batch, one of which dominates it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from augment.contract import Augmentation, check_positive, compute_dtype
from augment.weights import mixing_matrix, p_series_weights, sample_indices


@dataclass(frozen=True, eq=False)
class ZetaDraw:
    """What ζ-mixup mixes, in which proportion.

    Attributes:
        indices: int64 ``[B, N]``; row i lists the samples of output i, the heaviest, which is i, first.
        weights: float64 ``[N]``, not increasing, summing to 1.
    """

    indices: Tensor
    weights: Tensor


@dataclass(frozen=True)
class ZetaMixup(Augmentation):
    """ζ-mixup (arXiv 2204.03323) with `num_mixed` samples; with the whole batch it is the paper's own form.

    Attributes:
        gamma: γ, finite and > 0: the larger, the more the first sample dominates, and from 1.72865 on it outweighs all
            others together. The authors' code defaults to 2.8.
        num_mixed: N, at least 2 and at most the worker's batch.

    Raises:
        ValueError: A value is out of range.
    """

    backend: ClassVar[str] = "torch"

    gamma: float
    num_mixed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", check_positive("gamma", self.gamma))
        if isinstance(self.num_mixed, bool) or not isinstance(self.num_mixed, int) or self.num_mixed < 2:
            raise ValueError(f"num_mixed={self.num_mixed!r} is not allowed: an integer of at least 2 is.")

    @property
    def min_batch_size(self) -> int:
        """N: mixing stays inside one worker's batch."""
        return self.num_mixed

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> ZetaDraw:
        """Draw the partners of every sample; see `Augmentation.draw`."""
        return ZetaDraw(
            indices=sample_indices(shape[0], self.num_mixed, generator=generator),
            weights=p_series_weights(self.num_mixed, self.gamma, dtype=torch.float64, device=generator.device),
        )

    def apply(self, images: Tensor, targets: Tensor, draw: ZetaDraw) -> tuple[Tensor, Tensor]:
        """Mix images and targets with the same weights; see `Augmentation.apply`."""
        # Targets are few: in float64 their rows sum to 1 even where float32 products run in TF32.
        matrix = mixing_matrix(draw.indices, draw.weights, targets.shape[0])
        return mix(images, draw.indices, draw.weights), _product(matrix, targets.double()).to(targets.dtype)


def mix(images: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Return x̂_i = Σ_r weights[r] · images[indices[i, r]], as one dense matrix product.

    Deterministic, differentiable, and the same inside an autocast region. Sums are taken in float32, in float64 for
    float64 images.

    Args:
        images: Floating ``[B, ...]``, in any memory format.
        indices: int64 ``[B, N]`` on the device of `images`.
        weights: Floating ``[N]`` on the device of `images`.

    Returns:
        Shape, dtype and memory format of `images`.

    Raises:
        ValueError: `images` are not floating.
    """
    dtype = compute_dtype(images)
    matrix = mixing_matrix(indices, weights.to(dtype), images.shape[0])
    # Mixing treats all positions of an image alike. Taken in the order of memory they are a matrix without a copy, and
    # the result keeps the format, e.g. channels_last.
    order = sorted(range(1, images.dim()), key=lambda dim: (images.stride(dim), images.shape[dim]), reverse=True)
    in_memory = images.permute(0, *order)
    mixed = _product(matrix, in_memory.reshape(images.shape[0], -1).to(dtype)).to(images.dtype)
    back = [0, *(1 + order.index(dim) for dim in range(1, images.dim()))]
    return mixed.view(in_memory.shape).permute(back)


def _product(matrix: Tensor, values: Tensor) -> Tensor:
    # Autocast would round weights and pixels to bfloat16 before the product.
    with torch.autocast(values.device.type, enabled=False):
        return matrix @ values
