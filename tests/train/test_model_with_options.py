"""A model with options is built with them in training, and again from its best weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor, nn
from tracked import FACTS
from trainings import make_cell, random_dataset, run

from orchestrator.experiment import ModelSpec
from orchestrator.models import MODELS
from orchestrator.storage import CellFolder
from orchestrator.tracking.errors import UntellableError
from orchestrator.tracking.tellable import best_network


class TinyNet(nn.Module):
    """One hidden layer of a width that can be said."""

    def __init__(self, *, num_classes: int, num_channels: int, image_size: int, width: int = 8) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_channels * image_size**2, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(images.flatten(1)).relu())
        return logits


def test_options_reach_the_network_and_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tinynet", TinyNet)
    wide = ModelSpec(name="tinynet", options={"width": 3})
    cell = make_cell(epochs=1, batch_size_per_worker=16).model_copy(update={"model": wide})
    trained = run(cell, random_dataset(), tmp_path)
    assert trained.best_weights["hidden.weight"].shape == (3, 64)
    network = best_network(wide, FACTS.dataset, CellFolder(tmp_path))
    assert isinstance(network, TinyNet)
    with pytest.raises(UntellableError, match=r"those of tinynet as it is here"):
        best_network(ModelSpec(name="tinynet"), FACTS.dataset, CellFolder(tmp_path))
