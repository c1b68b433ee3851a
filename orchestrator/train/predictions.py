"""The predictions for the test images, as a finished cell keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orchestrator.data import Dataset
from orchestrator.storage import LOGITS_UP_TO, Predictions
from orchestrator.train.batches import gathered_order

_LOWEST = torch.finfo(torch.float16).min


def predictions_of(logits: Tensor, dataset: Dataset, *, world_size: int) -> Predictions:
    """Return the predictions for the test split of `dataset`, in its own order.

    Args:
        logits: float32 [n, num_classes] on the CPU: one rank's after the other's.
        dataset: What was tested on.
        world_size: How many ranks shared the images.

    Raises:
        ValueError: A logit is not finite.
    """
    labels, order = dataset.test.labels, gathered_order(len(logits), world_size=world_size).argsort()
    # float64, as for the metric.
    loss = -logits.double().log_softmax(dim=1)[order, labels]
    relative = logits - logits.amax(dim=1, keepdim=True)
    return Predictions(
        labels=_smallest(labels, dataset.num_classes),
        predicted=_smallest(logits.argmax(dim=1)[order], dataset.num_classes),
        loss=loss.float().numpy(),
        confidence=logits.softmax(dim=1).amax(dim=1)[order].numpy(),
        order=dataset.test_hash,
        logits=relative[order].clamp(min=_LOWEST).half().numpy() if dataset.num_classes <= LOGITS_UP_TO else None,
        groups=dataset.test_groups.int().numpy() if dataset.test_groups is not None else None,
    )


def _smallest(classes: Tensor, num_classes: int) -> NDArray[np.unsignedinteger[Any]]:
    smallest: NDArray[np.unsignedinteger[Any]] = classes.numpy().astype(np.min_scalar_type(num_classes - 1))
    return smallest
