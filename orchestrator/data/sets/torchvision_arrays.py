"""The data sets that torchvision reads into arrays: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100, STL-10 and SVHN."""

from __future__ import annotations

import pickle
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orchestrator.data.dataset import ArraySamples, Source
from orchestrator.errors import DataError

STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
SVHN_CLASSES = tuple("0123456789")

_FAILURES = (RuntimeError, OSError, ValueError, EOFError, AssertionError, KeyError, pickle.UnpicklingError)
"""What torchvision raises for files that are missing, truncated or not what their names say."""


def open_torchvision(class_name: str, root: Path) -> Source:
    """Reads MNIST, CIFAR or one of their relatives, which torchvision stored below ``root``; downloads nothing.

    Args:
        class_name: The class in ``torchvision.datasets``.
        root: The folder given to torchvision as ``root``.

    Raises:
        DataError: The files are not there, or damaged.
    """
    train, test = (stored(class_name, root, train=train) for train in (True, False))
    return Source(tuple(train.classes), train=_samples(train, "train"), test=_samples(test, "test"))


def open_stl10(root: Path) -> Source:
    """Reads STL-10: photographs from ImageNet in ten classes, 96x96 RGB.

    ::

        stl10_binary/train_X.bin, train_y.bin      5,000 images: 500 of each class
        stl10_binary/test_X.bin, test_y.bin        8,000 images: 800 of each class

    The 100,000 images without labels, ``unlabeled_X.bin`` (2.8 GB), come in the same archive; they are neither read nor
    checked, and may be deleted. There are no official validation images.
    Source: https://cs.stanford.edu/~acoates/stl10/, for the licence see there. Cite: Coates, Lee, Ng, "An Analysis of
    Single-Layer Networks in Unsupervised Feature Learning", AISTATS (2011).

    Raises:
        DataError: The files are not there, or damaged.
    """
    train, test = (_split(root, "STL10", split) for split in ("train", "test"))
    return Source(STL10_CLASSES, train=train, test=test)


def open_svhn(root: Path) -> Source:
    """Reads SVHN: digits cut out of photographed house numbers, 32x32 RGB.

    ::

        train_32x32.mat      73,257 images
        test_32x32.mat       26,032 images

    The 531,131 easier images of ``extra_32x32.mat`` are not used. There are no official validation images.
    Source: http://ufldl.stanford.edu/housenumbers/, for the licence see there. Cite: Netzer et al., "Reading Digits in
    Natural Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and Unsupervised Feature Learning
    (2011).

    Raises:
        DataError: The files are not there, or damaged.
    """
    train, test = (_split(root, "SVHN", split) for split in ("train", "test"))
    return Source(SVHN_CLASSES, train=train, test=test)


def stored(class_name: str, root: Path, **arguments: object) -> Any:
    """What torchvision finds below ``root``; downloads nothing.

    Args:
        class_name: The class in ``torchvision.datasets``.
        root: The folder given to torchvision as ``root``.
        arguments: What else the class is given, e.g. ``split="train"``.

    Raises:
        DataError: The files are not there, or damaged.
    """
    try:
        return _class(class_name)(root=root, download=False, **arguments)
    except _FAILURES as error:
        raise DataError(
            f"{class_name} below {root} cannot be read: {error}. Delete the files and let `--download` fetch them."
        ) from error


def fetch(class_name: str, root: Path, **arguments: object) -> None:
    """Lets torchvision download a data set to ``root``, as much of it as the arguments say; keeps what is there.

    Raises:
        DataError: The download failed.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _class(class_name)(root=root, download=True, **arguments)
    except (*_FAILURES, HTTPException) as error:
        raise DataError(f"the download of {class_name} to {root} failed: {error}") from error


def download_torchvision(class_name: str, root: Path) -> None:
    """Lets torchvision download what ``open_torchvision`` reads; see ``fetch``."""
    for train in (True, False):
        fetch(class_name, root, train=train)


def download_svhn(root: Path) -> None:
    """Lets torchvision download SVHN, without the extra images; see ``fetch``."""
    for split in ("train", "test"):
        fetch("SVHN", root, split=split)


def _class(class_name: str) -> Any:
    import torchvision.datasets  # seconds to import, and `digits` does without

    found = getattr(torchvision.datasets, class_name)
    if class_name != "STL10":
        return found
    # torchvision would want the images without labels, and read their 2.8 GB for the checksum whatever split is asked.
    labelled = [entry for entry in found.train_list if entry[0] != "unlabeled_X.bin"]
    return type(class_name, (found,), {"train_list": labelled})


def _samples(found: Any, split: str) -> ArraySamples:
    """The samples that torchvision holds: grey as uint8 tensor [n, H, W], colour as uint8 array [n, H, W, C]."""
    if isinstance(found.data, np.ndarray):
        images = torch.from_numpy(found.data).permute(0, 3, 1, 2)
    else:
        images = found.data.unsqueeze(1)
    labels = np.asarray(found.targets, dtype=np.int64)
    return ArraySamples([f"{split}/{index}" for index in range(len(labels))], labels, images)


def _split(root: Path, class_name: str, split: str) -> ArraySamples:
    """A split of a class that holds uint8 arrays [n, C, H, W]."""
    found = stored(class_name, root, split=split)
    labels = np.asarray(found.labels, dtype=np.int64)
    return ArraySamples([f"{split}/{index}" for index in range(len(labels))], labels, torch.from_numpy(found.data))
