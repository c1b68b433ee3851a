"""The model of a finished cell, as MLflow keeps it: a graph that takes pixels and needs none of this project's code."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.models import Model, infer_signature
from torch import nn

from orchestrator.amounts import bytes_text
from orchestrator.errors import TrackingError
from orchestrator.records import DatasetFacts
from orchestrator.side_process import SideProcess
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking.errors import kind_and_message, own_side
from orchestrator.tracking.tellable import best_network, other_version

NAME = "model"
# How the graph calls the network's weights.
NETWORK = "1."
# What a model needs on disk beside its weights, with room to spare: graph, example, requirements.
BESIDE_WEIGHTS = 5_000_000


# torch keeps something of each export for as long as a process lives, a quarter of a megabyte; an export fills a core
# for a second; and torch ends the process where the disk becomes full under a model. No driver wants any of it.
_side = SideProcess("exports models")


@contextmanager
def saved_model(model: str, data: DatasetFacts, folder: CellFolder) -> Iterator[Path]:
    """Yield a temporary folder with the best weights, as MLflow keeps a model; MLflow is not asked for anything.

    Args:
        model: Its name among the models.
        data: What it was trained on.
        folder: Of the finished cell.

    Raises:
        UntellableError: There is nothing that a model could be made of; says why.
        OSError: There is no room for it, on disk or in memory.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / NAME
        _check_room(Path(temporary), folder)
        _side.call(_export, model, data, folder, path)
        yield path


def warm_up() -> None:
    """Have the process that exports models be there: the first model costs eight seconds of imports."""
    _side.call(_export_nothing)


def _export(model: str, data: DatasetFacts, folder: CellFolder, path: Path) -> None:
    # It takes seconds to import, which the driver need not pay.
    from torchvision.transforms import v2

    network = best_network(model, data, folder)
    with own_side(f"{folder.best}: no model can be made of it", remedy=other_version(folder)):
        graph = nn.Sequential(v2.Normalize(list(data.mean), list(data.std)), network).eval()
        metadata = {"class_names": list(data.class_names), "input": "pixels in [0, 1]", "output": "logits"}
        options = _options(graph, num_channels=data.num_channels, image_size=data.image_size)
        mlflow.pytorch.save_model(graph, str(path), metadata=metadata, **options)


def _export_nothing() -> None:
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.Flatten()).eval()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pytorch.save_model(model, f"{folder}/{NAME}", **_options(model, num_channels=1, image_size=8))


def restore_best(model_uri: str, folder: CellFolder, *, epoch: int) -> None:
    """Write the best weights of a finished cell anew, from its model in MLflow.

    Args:
        model_uri: Of that model.
        folder: Of the cell.
        epoch: The best one.

    Raises:
        TrackingError: There is no such model, or it is of another kind.
        OSError: The weights cannot be written.
    """
    try:
        state = mlflow.pytorch.load_model(model_uri).state_dict()
    except Exception as error:
        # Which errors, is the artifact store's, and torch's.
        raise TrackingError(f"{model_uri} cannot be loaded ({kind_and_message(error)})") from error
    # The first module of the graph is the normalisation, which has no weights.
    weights = {name.removeprefix(NETWORK): value for name, value in state.items()}
    if not weights or any(not name.startswith(NETWORK) for name in state):
        raise TrackingError(f"{model_uri} is no model that zetasweep has logged")
    checkpoint.save(folder.best, {"model": weights, "epoch": epoch})


def _check_room(temporary: Path, folder: CellFolder) -> None:
    """Raise OSError if a model will not fit: torch ends the process where the disk becomes full under one."""
    weights = folder.best.stat().st_size if folder.best.exists() else 0
    needed, free = 2 * weights + BESIDE_WEIGHTS, shutil.disk_usage(temporary).free
    if free < needed:
        what = f"{os.strerror(errno.ENOSPC)}: {bytes_text(free)} free, a model takes {bytes_text(needed)}"
        raise OSError(errno.ENOSPC, what, str(temporary.parent))


def send_model(client: MlflowClient, model: LoggedModel, path: Path, *, run: Run) -> LoggedModel:
    """Upload what `saved_model` yielded to a logged model that was made for it, and return it as it is then.

    Args:
        client: Of the store.
        model: As MLflow made it; nothing is uploaded if it is ready.
        path: The folder.
        run: That the model is of.
    """
    if model.status != LoggedModelStatus.READY:
        described = Model.load(path)
        described.run_id, described.artifact_path = run.info.run_id, model.artifact_location
        described.model_id = described.model_uuid = model.model_id
        described.save(path / "MLmodel")
        client.log_model_artifacts(model.model_id, str(path))
        model = client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    known = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    if model.model_id not in known:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    return model


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
