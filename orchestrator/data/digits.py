"""scikit-learn's embedded digits: 1,797 scanned digits of 8x8 pixels, for trials without any download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from orchestrator.data.dataset import ArraySamples, Source
from orchestrator.data.splits import stratified_part

_TEST_FRACTION = 0.2


def open_digits(root: Path) -> Source:  # noqa: ARG001  # nothing lies in a folder
    """The digits; a fixed stratified fifth of them is the test set, since the set ships none.

    The stored grey levels 0 to 16 become 0 to 255.
    """
    from sklearn.datasets import load_digits  # seconds to import, and only this data set needs it

    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    ids = [str(index) for index in range(len(labels))]
    test = stratified_part(ids, labels, round(_TEST_FRACTION * len(labels)), minimum=1, salt="test")
    train = np.setdiff1d(np.arange(len(labels)), test)
    parts = [
        ArraySamples([ids[i] for i in part], labels[part], images[torch.from_numpy(part)]) for part in (train, test)
    ]
    return Source(tuple(str(name) for name in bunch.target_names), train=parts[0], test=parts[1])
