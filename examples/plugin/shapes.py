"""A data set of your own: what `DATASETS` has is a data set of experiment files, with all the options of the others.

    dataset: shapes

This one draws its images itself. One of files finds them below ``root``, the folder ``data_dir/NAME``, and reads those
that it is asked for: see `orchestrator.data.dataset.Samples`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.data import ArraySamples, DatasetInfo, Source

CLASSES = ("circle", "cross", "square")
SIDE = 12


def open_shapes(root: Path) -> Source:  # noqa: ARG001 - nothing lies in a folder
    """Return 600 grey drawings of three shapes at random places, with noise; a fifth of them is the test."""
    randomness = np.random.default_rng(0)
    images = np.stack([draw_shape(number % 3, randomness) for number in range(600)])
    labels = np.arange(600) % 3
    ids = [f"shape-{number}" for number in range(600)]

    def part(numbers: range) -> ArraySamples:
        chosen = slice(numbers.start, numbers.stop)
        return ArraySamples(ids[chosen], labels[chosen].astype(np.int64), torch.from_numpy(images[chosen]))

    return Source(CLASSES, train=part(range(480)), test=part(range(480, 600)))


def draw_shape(shape: int, randomness: np.random.Generator) -> NDArray[np.uint8]:
    """Return uint8 [1, 12, 12]."""
    y, x = np.mgrid[:SIDE, :SIDE] - randomness.uniform(4, SIDE - 5, size=(2, 1, 1))
    inside = [x**2 + y**2 < 9, (abs(x) < 1) | (abs(y) < 1), np.maximum(abs(x), abs(y)) < 2.5][shape]
    grey = 40 + 120 * inside + randomness.normal(0, 40, size=(SIDE, SIDE))
    return np.clip(grey, 0, 255).astype(np.uint8)[None]


DATASETS = {
    "shapes": DatasetInfo(
        open=open_shapes,
        description="600 drawings of three shapes, 12x12 grey; drawn when they are asked for",
        num_classes=len(CLASSES),
        image_shape=(1, SIDE, SIDE),
        embedded=True,
    )
}
