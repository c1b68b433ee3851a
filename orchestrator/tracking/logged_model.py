"""The model of a finished cell, as MLflow keeps it: a graph that takes pixels and needs none of this project's code."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.models import infer_signature
from torch import nn

from orchestrator.models import build_model
from orchestrator.records import DatasetFacts
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint


def log_model(model: str, data: DatasetFacts, *, checkpoint_dir: Path) -> str:
    """Log the best weights to the active run and return the model's URI. It takes pixels in [0, 1] and gives logits.

    Args:
        model: Its name among the models.
        data: What it was trained on.
        checkpoint_dir: The folder of the finished cell.
    """
    # It takes seconds to import, which the commands that only read would pay, too.
    from torchvision.transforms import v2

    network = build_model(
        model,
        num_classes=len(data.class_names),
        num_channels=data.num_channels,
        image_size=data.image_size,
    )
    state = checkpoint.load(CellFolder(checkpoint_dir).best)
    assert state is not None, "a finished cell has best weights"
    network.load_state_dict(state["model"])
    graph = nn.Sequential(v2.Normalize(list(data.mean), list(data.std)), network).eval()
    metadata = {"class_names": list(data.class_names), "input": "pixels in [0, 1]", "output": "logits"}
    options = _options(graph, num_channels=data.num_channels, image_size=data.image_size)
    uri: str = mlflow.pytorch.log_model(graph, name="model", metadata=metadata, **options).model_uri
    return uri


def warm_up() -> None:
    """Save a tiny model to nowhere: the first one costs eight seconds of imports, every other less than one."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.Flatten()).eval()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pytorch.save_model(model, f"{folder}/model", **_options(model, num_channels=1, image_size=8))


def _options(model: nn.Module, *, num_channels: int, image_size: int) -> dict[str, Any]:
    """Return how MLflow is to keep `model`: as a graph, with its signature and an example."""
    example = np.zeros((2, num_channels, image_size, image_size), dtype=np.float32)
    with torch.inference_mode():
        signature = infer_signature(example, model(torch.from_numpy(example)).numpy())
    return {
        "signature": signature,
        "input_example": example,
        "pip_requirements": [f"torch=={version('torch')}", f"torchvision=={version('torchvision')}"],
        "serialization_format": "pt2",
    }
