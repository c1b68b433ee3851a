"""The model of a finished cell, as MLflow keeps it: it takes images and needs none of this project's code.

`mlflow.pytorch` has the network, as a graph that can be moved and trained further; `mlflow.pyfunc` has the classifier
of images around it (`orchestrator.tracking.image_classifier`).
"""

from __future__ import annotations

import errno
import logging
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
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types.schema import AnyType, ColSpec, Schema

from orchestrator.amounts import bytes_text
from orchestrator.errors import TrackingError
from orchestrator.experiment import Cell
from orchestrator.plugins import call_with, carried
from orchestrator.records import DatasetFacts
from orchestrator.side_process import SideProcess
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking import image_classifier
from orchestrator.tracking.errors import kind_and_message, own_side
from orchestrator.tracking.tellable import best_network, kept_facts, other_version
from orchestrator.tracking.trainable_graph import EARLIER_NETWORK, NETWORK, FromPixels, trainable_graph

NAME, CLASSIFIER = "model", "image_classifier.py"
REQUIREMENTS = ("mlflow", "torch", "torchvision", "pillow", "pandas")
# What a model needs on disk beside its weights, with room to spare: graph, example, requirements.
BESIDE_WEIGHTS = 5_000_000


# What torch makes of a network fills a core and memory, and torch ends the process where the disk becomes full under a
# model. No driver wants any of it.
_side = SideProcess("exports models")


@contextmanager
def saved_model(cell: Cell, folder: CellFolder) -> Iterator[Path]:
    """Yield a temporary folder with the best weights, as MLflow keeps a model; MLflow is not asked for anything.

    Args:
        cell: The finished cell.
        folder: Of the cell.

    Raises:
        UntellableError: There is nothing that a model could be made of; says why.
        OSError: There is no room for it, on disk or in memory.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / NAME
        _check_room(Path(temporary), folder)
        # The network may be of a plug-in, whose code the model does without.
        _side.call(call_with, carried(), _export, cell, folder.with_best_here(), path)
        yield path


def warm_up() -> None:
    """Have the process that exports models be there: the first model costs eight seconds of imports."""
    _side.call(_import_all)


def _export(cell: Cell, folder: CellFolder, path: Path) -> None:
    torch.set_num_threads(1)
    data = kept_facts(folder)
    network = best_network(cell.model, data, folder)
    with own_side(folder, "no model can be made of it", remedy=other_version(folder)):
        module = FromPixels(network, mean=data.mean, std=data.std).eval()
        example = np.zeros((2, data.num_channels, data.image_size, data.image_size), dtype=np.float32)
        graph = trainable_graph(module, torch.from_numpy(example))
        with _no_advice():
            mlflow.pytorch.save_model(
                graph if graph is not None else module,
                str(path),
                metadata=_description(cell, data, is_trainable=graph is not None),
                # For the export; what the classifier takes is said below.
                signature=infer_signature(example, example[:, 0, 0, :1]),
                input_example=example if graph is None else None,
                pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
                serialization_format="pickle" if graph is not None else "pt2",
            )
        _add_classifier(path, data)


def _description(cell: Cell, data: DatasetFacts, *, is_trainable: bool) -> dict[str, Any]:
    """Return what is kept with the model: what it is of, and all that whoever uses it has to know."""
    stored = cell.dataset.stored_size or data.image_size
    return {
        "setting": cell.setting,
        "cell": cell.key,
        "class_names": list(data.class_names),
        "input": input_text(data),
        "output": "the class of each image and the probabilities; of mlflow.pytorch logits",
        "can_be_trained": is_trainable,
        "preparation": {
            "num_channels": data.num_channels,
            "resize": stored,
            "resize_again": cell.dataset.transform().evaluation_side(stored),
            "size": data.image_size,
        },
    }


def input_text(data: DatasetFacts) -> str:
    """Return in words what a model takes."""
    kind = "RGB" if data.num_channels == 3 else "grey"
    return (
        f"images, as paths, bytes, PIL images or arrays of any size, which become {data.image_size} x "
        f"{data.image_size} pixels, {kind}; of mlflow.pytorch float images "
        f"[B, {data.num_channels}, {data.image_size}, {data.image_size}] in [0, 1]"
    )


def _add_classifier(path: Path, data: DatasetFacts) -> None:
    """Have MLflow's ``python_function`` be the classifier of images: a file of code beside the network.

    A file, and no pickle, since MLflow loads each such file as a module of its own: models of several versions of
    zetasweep can be used in one process.
    """
    code = Path(image_classifier.__file__).read_text(encoding="utf-8")
    (path / CLASSIFIER).write_text(f"{code}\n\nmlflow.models.set_model(ImageClassifier())\n", encoding="utf-8")
    described = Model.load(path)
    envs = described.flavors[mlflow.pyfunc.FLAVOR_NAME]["env"]
    mlflow.pyfunc.add_to_model(
        described,
        loader_module="mlflow.pyfunc.loaders.code_model",
        model_code_path=CLASSIFIER,
        conda_env=envs["conda"],
        python_env=envs["virtualenv"],
        model_config={"device": None},
        streamable=False,
    )
    described.signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "images")]),
        outputs=Schema(
            [
                ColSpec("string", "class"),
                ColSpec("double", "probability"),
                *(ColSpec("double", f"probability/{name}") for name in data.class_names),
            ]
        ),
    )
    # The classifier looks at what it is given itself: MLflow would make a table of each array.
    Model.from_dict(described.to_dict() | {"is_signature_from_type_hint": True}).save(path / "MLmodel")


@contextmanager
def _no_advice() -> Iterator[None]:
    """Keep back what MLflow tells whoever saves any pickle."""
    log = logging.getLogger("mlflow.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _import_all() -> None:
    import torchvision  # noqa: F401 - what `_export` needs of networks


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
    prefix = NETWORK if any(name.startswith(NETWORK) for name in state) else EARLIER_NETWORK
    # The others are the normalisation's.
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not weights or set(state) - {f"{prefix}{name}" for name in weights} - {"mean", "std"}:
        raise TrackingError(f"{model_uri} is no model that zetasweep has logged")
    # What it was trained on is lost, and not needed: whoever wants a model has this one.
    best = folder.best
    checkpoint.save(best, {"model": weights, "epoch": epoch})
    folder.keep(best)


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
