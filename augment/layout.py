"""How the images of a batch lie in memory."""

from __future__ import annotations

from torch import Tensor


def memory_order(images: Tensor) -> list[int]:
    """Return the dimensions of `images`: the batch first, then from the slowest to the fastest in memory."""
    order = sorted(range(1, images.dim()), key=lambda dim: (images.stride(dim), images.shape[dim]), reverse=True)
    return [0, *order]


def undo(order: list[int]) -> list[int]:
    """Return the permutation that brings dimensions in `order` back to where they were."""
    return [order.index(dim) for dim in range(len(order))]
