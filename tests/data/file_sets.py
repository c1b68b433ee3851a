"""Writes small sets of image files in the folders that torchvision makes of the official archives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image
from scipy.io import savemat
from small_sets import md5

from orchestrator.data.sets.torchvision_files import EUROSAT_CLASSES, IMAGENETTE_CLASSES, PET_CLASSES


def write_noise(paths: Iterable[Path], *, side: int = 12) -> None:
    """Images, no two alike: PNG whatever the names say, so that reading gives what was written."""
    rng = np.random.default_rng(0)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path, format="PNG")


def write_flowers102(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six, one and two images of each class; torchvision is told the new checksums."""
    folder = root / "flowers-102"
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(1, 103, dtype=np.uint8), 9))
    numbers = np.argsort(labels, kind="stable").reshape(102, 9) + 1
    splits = {"trnid": numbers[:, :6], "valid": numbers[:, 6:7], "tstid": numbers[:, 7:]}
    write_noise(folder / "jpg" / f"image_{number:05}.jpg" for number in range(1, len(labels) + 1))
    savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    savemat(folder / "setid.mat", {name: part.reshape(1, -1).astype(np.uint16) for name, part in splits.items()})
    sums = {key: (name, md5(folder / name)) for key, name in (("label", "imagelabels.mat"), ("setid", "setid.mat"))}
    dataset = torchvision.datasets.Flowers102
    monkeypatch.setattr(dataset, "_file_dict", {**dataset._file_dict, **sums})


def write_oxford_pets(root: Path) -> None:
    """Six and two images of each breed, and one that no list names."""
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    names: list[str] = []
    for split, numbers in (("trainval", range(6)), ("test", range(6, 8))):
        # Cats are written with a capital: species 1.
        rows = [
            (f"{breed}_{number}", label, 1 if breed[0].isupper() else 2)
            for label, breed in enumerate(PET_CLASSES, start=1)
            for number in numbers
        ]
        lines = [f"{name} {label} {species} 1\n" for name, label, species in rows]
        (folder / "annotations" / f"{split}.txt").write_text("".join(lines))
        names += [name for name, _, _ in rows]
    write_noise(folder / "images" / f"{name}.jpg" for name in [*names, "beagle_116"])


def write_imagenette(root: Path, folder: str = "imagenette2-320") -> None:
    """Eight and three images of each class."""
    write_noise(
        root / folder / split / wnid / f"{wnid}_{split}_{number}.JPEG"
        for split, per_class in (("train", 8), ("val", 3))
        for wnid in IMAGENETTE_CLASSES
        for number in range(per_class)
    )


def write_eurosat(root: Path) -> None:
    """Twenty images of each class."""
    folder = root / "eurosat" / "2750"
    write_noise((folder / name / f"{name}_{n}.jpg" for name in EUROSAT_CLASSES for n in range(1, 21)), side=64)
