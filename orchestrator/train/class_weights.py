"""How much each class counts where a cell balances them."""

from __future__ import annotations

from torch import Tensor


def balanced_class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Return n / (K n_k) for each class k, as scikit-learn's ``balanced`` has it: float32 ``[num_classes]``.

    Args:
        labels: int64 ``[n]``; every class occurs.
        num_classes: K.
    """
    return len(labels) / (num_classes * labels.bincount(minlength=num_classes).float())
