"""Plug-ins as people write them, and installed packages that have names for us."""

from __future__ import annotations

from pathlib import Path

TINYNET = '''
"""A network."""
from torch import nn

def build_tinynet(*, num_classes, num_channels, image_size, width: int = 4):
    return nn.Sequential(
        nn.Conv2d(num_channels, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, num_classes),
    )

MODELS = {"tinynet": build_tinynet}
'''
PAIRMIX = """
from dataclasses import dataclass
import torch
from augment import Blend, BlendDraw
from augment.contract import check_fraction, parameter

@dataclass(frozen=True)
class PairMix(Blend):
    share: float = parameter(check_fraction, default=0.2)
    min_batch_size = 2

    def draw(self, shape, *, generator):
        partners = torch.randperm(shape[0], generator=generator)
        return BlendDraw(torch.stack([torch.arange(shape[0]), partners], 1), torch.tensor([1 - self.share, self.share]))

AUGMENTATIONS = {"pairmix": PairMix}
"""
DOTS = """
import numpy as np, torch
from orchestrator.data import ArraySamples, DatasetInfo, Source

def open_dots(root):
    labels = np.arange(60) % 2
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 99, (60, 1, 8, 8), dtype=np.uint8))
    images += torch.from_numpy(labels.astype(np.uint8) * 150)[:, None, None, None]
    ids = [f"dot-{number}" for number in range(60)]
    train, test = (ArraySamples(ids[part], labels[part], images[part]) for part in (slice(0, 40), slice(40, 60)))
    return Source(("dark", "light"), train=train, test=test)

DATASETS = {"dots": DatasetInfo(open=open_dots, description="60 dots", num_classes=2, embedded=True)}
"""


EXPERIMENT = "{name: x, dataset: digits, model: %s, augment: %s, train: {epochs: 1}}"


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file and return its path."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def install(site: Path, package: str, entry_points: str, **files: str) -> None:
    """Put an installed package into a folder of packages: its metadata, and its modules."""
    metadata = site / f"{package}-1.0.dist-info"
    write(metadata, "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    write(metadata, "entry_points.txt", entry_points)
    for name, text in files.items():
        write(site, f"{name}.py", text)
