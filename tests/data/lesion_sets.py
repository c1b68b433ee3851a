"""Writes small skin-lesion sets in their official layouts; each image shows its class, or nearly so."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

ISIC2018 = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
DERMOFIT = ("AK", "ALLMOLE", "BCC", "DF", "IEC", "MEL", "PYO", "SCC", "SK", "VASC")


def write_jpegs(folder: Path, names: Sequence[str], *, side: int = 16) -> None:
    """Noise of 16x16 pixels, a JPEG for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([zlib.crc32(f"{folder.name}/{name}".encode()) for name in names[:1]])
    for name in names:
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / f"{name}.jpg")


def names_of(number: int, *, first: int = 0) -> list[str]:
    return [f"ISIC_{index:07}" for index in range(first, first + number)]


def write_isic2016(root: Path, *, train: tuple[int, int] = (12, 8)) -> None:
    for split, (benign, malignant), words in (
        ("Training", train, ("benign", "malignant")),
        ("Test", (4, 2), ("0.0", "1.0")),
    ):
        names = names_of(benign + malignant)
        write_jpegs(root / f"ISBI2016_ISIC_Part3_{split}_Data", names)
        rows = [f"{name},{words[index >= benign]}" for index, name in enumerate(names)]
        (root / f"ISBI2016_ISIC_Part3_{split}_GroundTruth.csv").write_text("\n".join(rows) + "\n")


def write_isic2017(root: Path, *, train: tuple[int, int, int] = (10, 6, 4)) -> None:
    for split, numbers in (("Training", train), ("Validation", (3, 2, 1)), ("Test_v2", (4, 2, 2))):
        names = names_of(sum(numbers))
        write_jpegs(root / f"ISIC-2017_{split}_Data", names)
        values = ["0.0,0.0"] * numbers[0] + ["1.0,0.0"] * numbers[1] + ["0.0,1.0"] * numbers[2]
        rows = [f"{name},{value}" for name, value in zip(names, values, strict=True)]
        table = root / f"ISIC-2017_{split}_Part3_GroundTruth.csv"
        table.write_text("\n".join(["image_id,melanoma,seborrheic_keratosis", *rows]) + "\n")


def write_isic2018(root: Path, *, lesions: str | None = "HAM10000_metadata.csv", official: bool = False) -> None:
    """Twelve images of each class, of which each pair shows the same lesion."""
    splits = {"Training": 12} | ({"Validation": 1, "Test": 2} if official else {})
    for split, per_class in splits.items():
        names = names_of(7 * per_class)
        write_jpegs(root / f"ISIC2018_Task3_{split}_Input", names)
        stem = f"ISIC2018_Task3_{split}_GroundTruth"
        (root / stem).mkdir()
        rows = [
            ",".join([name, *("1.0" if index // per_class == label else "0.0" for label in range(7))])
            for index, name in enumerate(names)
        ]
        header = ",".join(["image", *ISIC2018])
        (root / stem / f"{stem}.csv").write_text("\n".join([header, *rows]) + "\n")
    if lesions is not None:
        names = names_of(7 * 12)
        ham = lesions.startswith("HAM")
        rows = ["lesion_id,image_id,dx"] if ham else ["image,lesion_id,diagnosis_confirm_type"]
        for index, name in enumerate(names):
            lesion = f"HAM_{index // 2:07}"
            rows.append(f"{lesion},{name},x" if ham else f"{name},{lesion},x")
        (root / lesions).write_text("\n".join(rows) + "\n")


def write_ham10000(root: Path, *, table: str = "HAM10000_metadata.csv") -> None:
    """Twelve images of each class in two folders, of which each pair shows the same lesion."""
    names = names_of(7 * 12)
    for part in (1, 2):
        write_jpegs(root / f"HAM10000_images_part_{part}", names[part - 1 :: 2])
    rows = [f"HAM_{index // 2:07},{name},{ISIC2018[index // 12].lower()}" for index, name in enumerate(names)]
    (root / table).write_text("\n".join(["lesion_id,image_id,dx", *rows]) + "\n")


def write_dermofit(root: Path) -> None:
    """Ten images of each class, each in a folder of its own beside its mask."""
    rng = np.random.default_rng(0)
    for name in DERMOFIT:
        for number in range(10):
            folder = root / name / f"X{number}"
            folder.mkdir(parents=True)
            image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            image.save(folder / f"X{number}.png")
            Image.new("1", (16, 16)).save(folder / f"X{number}mask.png")
