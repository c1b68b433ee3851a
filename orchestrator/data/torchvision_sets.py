"""The data sets that torchvision knows: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, in the files that it stores."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch

from orchestrator.data.dataset import ArraySamples, Source
from orchestrator.errors import DataError

_FAILURES = (RuntimeError, OSError, ValueError, EOFError, AssertionError, KeyError, pickle.UnpicklingError)
"""What torchvision raises for files that are missing, truncated or not what their names say."""


def open_torchvision(class_name: str, root: Path) -> Source:
    """Reads a data set that torchvision stored below ``root``; downloads nothing.

    Args:
        class_name: The class in ``torchvision.datasets``.
        root: The folder given to torchvision as ``root``.

    Raises:
        DataError: The files are not there, or damaged.
    """
    try:
        train, test = (_class(class_name)(root=root, train=train, download=False) for train in (True, False))
    except _FAILURES as error:
        raise DataError(
            f"{class_name} below {root} cannot be read: {error}. Delete the files and let `--download` fetch them."
        ) from error
    return Source(tuple(train.classes), train=_samples(train, "train"), test=_samples(test, "test"))


def download_torchvision(class_name: str, root: Path) -> None:
    """Lets torchvision download a data set to ``root``; files that are there already are kept.

    Raises:
        DataError: The download failed.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for train in (True, False):
            _class(class_name)(root=root, train=train, download=True)
    except (*_FAILURES, URLError) as error:
        raise DataError(f"the download of {class_name} to {root} failed: {error}") from error


def _class(class_name: str) -> Any:
    import torchvision.datasets  # seconds to import, and `digits` does without

    return getattr(torchvision.datasets, class_name)


def _samples(stored: Any, split: str) -> ArraySamples:
    """The samples that torchvision holds: grey as uint8 tensor [n, H, W], colour as uint8 array [n, H, W, C]."""
    if isinstance(stored.data, np.ndarray):
        images = torch.from_numpy(stored.data).permute(0, 3, 1, 2)
    else:
        images = stored.data.unsqueeze(1)
    labels = np.asarray(stored.targets, dtype=np.int64)
    return ArraySamples([f"{split}/{index}" for index in range(len(labels))], labels, images)
