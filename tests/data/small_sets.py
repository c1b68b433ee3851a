"""Writes small data sets in the formats that users have."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
PER_CLASS = {"train": 20, "test": 4}


def random_images(split: str, num_classes: int, *shape: int) -> tuple[Pixels, NDArray[np.int64]]:
    """Images, no two alike, and their labels, of every class as many; shuffled, as in the files of the real sets."""
    rng = np.random.default_rng(len(split))
    labels = rng.permutation(np.repeat(np.arange(num_classes), PER_CLASS[split]))
    return rng.integers(0, 256, (len(labels), *shape), dtype=np.uint8), labels


def write_idx(root: Path, folder: str) -> None:
    """MNIST's format: big-endian, magic number 8 (uint8) and number of dimensions, then the sizes."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = random_images(split, 10, 28, 28)
        header = struct.pack(">IIII", 0x0803, *images.shape)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">II", 0x0801, len(labels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())


def write_cifar(root: Path, dataset: type[torchvision.datasets.CIFAR10], monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR's format: pickled rows of 3072 bytes, red then green then blue; torchvision is told the new checksums."""
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    label_key, num_classes = ("fine_labels", 100) if dataset is torchvision.datasets.CIFAR100 else ("labels", 10)
    for split, attribute in (("train", "train_list"), ("test", "test_list")):
        files = [name for name, _ in getattr(dataset, attribute)]
        images, labels = random_images(split, num_classes, 3072)
        pieces = zip(files, np.array_split(images, len(files)), np.array_split(labels, len(files)), strict=True)
        sums = [
            [name, dump(folder / name, {"data": rows, label_key: [int(label) for label in part]})]
            for name, rows, part in pieces
        ]
        monkeypatch.setattr(dataset, attribute, sums)
    names = [f"class {number}" for number in range(num_classes)]
    meta_sum = dump(folder / dataset.meta["filename"], {dataset.meta["key"]: names})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": meta_sum})


def dump(path: Path, content: object) -> str:
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_image_folder(
    root: Path, *, splits: Sequence[str] = ("train", "test"), classes: Sequence[str] = ("bee", "ant"), num: int = 10
) -> Path:
    """PNG files of 12x12 random pixels, ``num`` of each class in each split; returns ``root``."""
    rng = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for number in range(num):
                image = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
                image.save(root / split / name / f"{number:03}.png")
    return root
