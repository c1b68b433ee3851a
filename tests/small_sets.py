"""Writes small data sets in the formats that users have; ``file_sets`` has those of image files."""

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
from scipy.io import savemat

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
    return md5(path)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """STL-10's format: bytes by image, channel, column, row; labels from 1. What has no labels is not written."""
    dataset = torchvision.datasets.STL10
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        images, labels = random_images(split, 10, 3, 96, 96)
        contents = {
            f"{split}_X.bin": images.transpose(0, 1, 3, 2).tobytes(),
            f"{split}_y.bin": (labels + 1).astype(np.uint8).tobytes(),
        }
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        unlabelled = [entry for entry in getattr(dataset, f"{split}_list") if entry[0] == "unlabeled_X.bin"]
        sums = [[name, md5(folder / name)] for name in contents]
        monkeypatch.setattr(dataset, f"{split}_list", sums + unlabelled)


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SVHN's format: an array of row, column, channel, image; the label of the digit 0 is 10."""
    root.mkdir(parents=True, exist_ok=True)
    splits = dict(torchvision.datasets.SVHN.split_list)
    for split in ("train", "test"):
        images, labels = random_images(split, 10, 3, 32, 32)
        url, name, _ = splits[split]
        digits = np.where(labels == 0, 10, labels).astype(np.uint8)
        savemat(root / name, {"X": images.transpose(2, 3, 1, 0), "y": digits[:, None]}, do_compression=True)
        splits[split] = [url, name, md5(root / name)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", splits)


def write_medmnist(
    path: Path, *, shape: tuple[int, ...] = (12, 12, 3), num_classes: int = 3, **others: NDArray[np.generic] | None
) -> Path:
    """MedMNIST's format; ``others`` replaces arrays, or leaves them out if None. Returns ``path``."""
    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.generic] | None] = {}
    for split, per_class in (("train", 10), ("val", 2), ("test", 4)):
        labels = rng.permutation(np.repeat(np.arange(num_classes, dtype=np.uint8), per_class))
        arrays[f"{split}_images"] = rng.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = labels[:, None]
    kept = {name: array for name, array in (arrays | others).items() if array is not None}
    np.savez_compressed(path, **kept)
    return path


# What tables say of which group an image is, where it is not known.
MISSING = ["", " ", "-", "?", "#N/A", "<NA>", "Missing", "N/A", "NA", "nan", "NaT", "None", "NULL", "unknown"]
# Two spellings of one group.
SPELLINGS = [("Q7", "q7"), ("7", "7.0"), ("caf\u00e9", "cafe\u0301"), ("-3.0", "-3")]


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
