"""scikit-learn's embedded digits: 1,797 scanned digits of 8x8 pixels, for trials without any download."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from orchestrator.data.dataset import ArraySamples, Source
from orchestrator.data.sets.held_out import HELD_OUT, TEST_FRACTION
from orchestrator.data.splits import stratified_part

# 64 grey levels and the label of each digit. `sklearn.datasets.load_digits` reads it, too, but imports SciPy first:
# more than a second for every worker that starts.
_FILE = "sklearn/datasets/data/digits.csv.gz"
_NUM_CLASSES = 10


def open_digits(root: Path) -> Source:  # noqa: ARG001  # nothing lies in a folder
    """The digits; a fixed stratified fifth of them is the test set, since the set ships none.

    The stored grey levels 0 to 16 become 0 to 255.
    """
    table: npt.NDArray[np.float64] = np.loadtxt(str(distribution("scikit-learn").locate_file(_FILE)), delimiter=",")
    labels = table[:, -1].astype(np.int64)
    images = torch.from_numpy(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)).reshape(-1, 1, 8, 8)
    ids = [str(index) for index in range(len(labels))]
    test = stratified_part(ids, labels, round(TEST_FRACTION * len(labels)), minimum=1, salt="test")
    train = np.setdiff1d(np.arange(len(labels)), test)
    parts = [
        ArraySamples([ids[i] for i in part], labels[part], images[torch.from_numpy(part)]) for part in (train, test)
    ]
    return Source(tuple(map(str, range(_NUM_CLASSES))), train=parts[0], test=parts[1], test_is=HELD_OUT)
