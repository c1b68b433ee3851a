"""What mixing makes of an image and its label: how much of other images shows, and how much the label tells."""

from __future__ import annotations

import torch
from torch import Tensor


def ghosting(weights: Tensor) -> Tensor:
    """Return which part of what is to be seen are ghosts: 1 - w1² / Σw², 0 for one image alone.

    Args:
        weights: ``[..., n]``, of the images in a mixed one; the last dimension sums to 1.

    Returns:
        ``[...]`` in [0, 1).
    """
    squares = weights.double().square()
    return 1 - squares.amax(dim=-1) / squares.sum(dim=-1)


def second_weight(weights: Tensor) -> Tensor:
    """Return the weight of the image that shows most after the first, ``[...]`` in [0, 0.5]; see `ghosting`."""
    return weights.double().topk(2, dim=-1).values[..., 1]


def effective_number(weights: Tensor) -> Tensor:
    """Return as how many equal ones the parts of a label are, 1 / Σw²: ``[...]`` from 1 to n; see `ghosting`."""
    return 1 / weights.double().square().sum(dim=-1)


def entropy(targets: Tensor) -> Tensor:
    """Return the entropy of soft labels in nats: 0 for one class alone, log K for K classes alike.

    Args:
        targets: ``[..., K]``, the last dimension sums to 1.
    """
    found: Tensor = torch.special.entr(targets.double()).sum(dim=-1)
    return found


def cross_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """Return what a network that predicts `logits` would lose by soft labels, in nats, ``[...]``.

    Args:
        targets: See `entropy`.
        logits: ``[..., K]``
    """
    return -(targets.double() * logits.double().log_softmax(dim=-1)).sum(dim=-1)
