"""Fixtures: a small data set of each name, and the real CIFAR-10 images where they are at hand."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torchvision.datasets
from file_sets import write_eurosat, write_flowers102, write_imagenette, write_oxford_pets
from lesion_sets import write_dermofit, write_ham10000, write_isic2016, write_isic2017, write_isic2018
from small_sets import write_cifar, write_idx, write_image_folder, write_medmnist, write_stl10, write_svhn


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str | None]:
    """Writes a small data set of that name below ``tmp_path``; returns its ``folder`` or ``file`` option."""

    def write(name: str) -> str | None:
        root = tmp_path / name
        match name:
            case "mnist":
                write_idx(root, "MNIST")
            case "fashion_mnist":
                write_idx(root, "FashionMNIST")
            case "cifar10":
                write_cifar(root, torchvision.datasets.CIFAR10, monkeypatch)
            case "cifar100":
                write_cifar(root, torchvision.datasets.CIFAR100, monkeypatch)
            case "stl10":
                write_stl10(root, monkeypatch)
            case "svhn":
                write_svhn(root, monkeypatch)
            case "flowers102":
                write_flowers102(root, monkeypatch)
            case "oxford_pets":
                write_oxford_pets(root)
            case "imagenette":
                write_imagenette(root)
            case "eurosat":
                write_eurosat(root)
            case "medmnist_npz":
                write_medmnist(tmp_path / "mine.npz", num_classes=2)
                return "mine.npz"
            case "isic2016":
                write_isic2016(root, train=(10, 10))
            case "isic2017":
                write_isic2017(root, train=(8, 8, 8))
            case "isic2018":
                write_isic2018(root)
            case "ham10000":
                write_ham10000(root)
            case "dermofit":
                write_dermofit(root)
            case "image_folder":
                write_image_folder(tmp_path / "mine")
                return "mine"
        return None

    return write


@pytest.fixture
def real_cifar10(tmp_path: Path) -> Path:
    """A folder with the real CIFAR-10 images as PNG, 60 of each class for training and 10 for the test."""
    shared = Path(os.environ.get("ZETASWEEP_SHARED", Path(__file__).parents[2].parent / "shared"))
    archives = {split: shared / "data" / "cifar10" / f"{split}.zip" for split in ("train-1-of-2", "test")}
    if missing := [str(path) for path in archives.values() if not path.is_file()]:
        pytest.skip(f"the real CIFAR-10 images are not at hand: {', '.join(missing)} (set ZETASWEEP_SHARED)")
    for split, archive in archives.items():
        unpack_some(archive, tmp_path / "cifar10-png", 10 if split == "test" else 60)
    return tmp_path / "cifar10-png"


def unpack_some(archive: Path, target: Path, per_class: int) -> None:
    with zipfile.ZipFile(archive) as opened:
        by_class: dict[str, list[str]] = {}
        for name in sorted(opened.namelist()):
            by_class.setdefault(name.split("/")[1], []).append(name)
        opened.extractall(target, [name for names in by_class.values() for name in names[:per_class]])
