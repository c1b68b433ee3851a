"""Cells and images for trainings on a GPU, or on one that is not there."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from trainings import REQUIRED

from orchestrator.data import Dataset, Split
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.train_settings import TrainSettings

BATCH_SIZE, SIDE = 8, 8
ZETA = AugmentSpec(name="zeta_mixup", params=REQUIRED["zeta_mixup"])


def dataset_of(num: int = BATCH_SIZE) -> Dataset:
    """Random images of three classes, in three channels; each split has all of them."""
    shape = (num, 3, SIDE, SIDE)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    split = Split(torch.arange(num), torch.arange(num) % 3)
    scale = (0.5,) * 3
    names = ("a", "b", "c")
    return Dataset(
        "digits", images, split, split, split, class_names=names, mean=scale, std=scale, split_hash="", groups="none",
        test_hash="",
    )  # fmt: skip


def build_tiny(*, num_classes: int, num_channels: int, **_: int) -> nn.Module:
    """A network of few operations, whose steps take no time even where each is looked at."""
    layers = (nn.Conv2d(num_channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Dropout(0.1), nn.Linear(4, num_classes))


def cell_of(
    augment: AugmentSpec = ZETA, *, transform: dict[str, Any] | None = None, model: Any = "convnet", **settings: Any
) -> Cell:
    options = {"epochs": 2, "precision": "bf16", "batch_size_per_worker": BATCH_SIZE, **settings}
    return Cell(
        dataset=DatasetSpec.model_validate({"name": "digits", **(transform or {})}),
        model=model,
        augment=augment,
        seed=0,
        train=TrainSettings.model_validate(options),
        workers=1,
    )
