"""Whether what a finished cell left can be told to MLflow at all, whatever MLflow says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from orchestrator.errors import first_line
from orchestrator.experiment import Cell, ModelSpec
from orchestrator.models import Images
from orchestrator.records import CellFacts, DatasetFacts, Started, TrackedEvent
from orchestrator.storage import BEST, CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking.errors import UntellableError, own_side
from orchestrator.train import network_of

AGAIN = "the command that trained the cell trains it again"


def other_version(folder: CellFolder) -> str:
    """Return what helps a cell whose weights another version wrote."""
    return (
        "zetasweep sync with the versions it was trained with, which environment.json of its run in MLflow names\n"
        f"or remove {folder.shown()}, and {AGAIN}"
    )


def check_tellable(cell: Cell, events: Sequence[TrackedEvent], folder: CellFolder) -> None:
    """Raise UntellableError if MLflow cannot be given the model of a finished cell.

    Args:
        cell: Which.
        events: Its journal; without one it is only looked whether the weights are there.
        folder: Its own.
    """
    if not folder.has(BEST):
        raise _lost(folder)
    if events:
        best_network(cell.model, facts_of(events, folder).dataset, folder)


def facts_of(events: Iterable[TrackedEvent], folder: CellFolder) -> CellFacts:
    """Return what a cell was trained on, as its journal says.

    Raises:
        UntellableError: It does not say so.
    """
    for event in events:
        if isinstance(event, Started):
            return event.facts
    raise UntellableError(
        f"{folder.shown()}: its journal does not say what it was trained on",
        remedy="zetasweep run delivers it from the checkpoint, without training",
    )


def keep_facts(model: ModelSpec, data: DatasetFacts, folder: CellFolder) -> None:
    """Make sure that a model can be made of a finished cell, now or later: its best weights are those of such a
    network, and say what they were trained on, which those of earlier versions do not.

    Args:
        model: Which network.
        data: What it was trained on.
        folder: Of the cell; the weights are written anew if they do not say it.

    Raises:
        UntellableError: The weights are not there, are damaged, or are not those of such a network.
        OSError: There is no room for them.
    """
    state = _best_state(folder)
    with own_side(folder, f"no {model.label} can be made of it", remedy=other_version(folder)):
        found = {name: value.shape for name, value in state["model"].items()}
        images = Images(len(data.class_names), data.num_channels, data.image_size)
        # What began with other weights is built as those say.
        expected = {} if model.weights else _shapes(model, images)
    if found != expected:
        best_network(model, data, folder)
    if "data" not in state:
        path = folder.best
        checkpoint.save(path, {**state, "data": asdict(data)})
        folder.keep(path)


def kept_facts(folder: CellFolder) -> DatasetFacts:
    """Return what the best weights of a finished cell were trained on.

    Raises:
        UntellableError: They are not there, are damaged, or do not say it.
    """
    state = _best_state(folder)
    if "data" not in state:
        raise UntellableError(
            f"{folder.shown('best.pt')} does not say what it was trained on, as those of earlier versions do not",
            remedy="take the model that MLflow has of another seed, or train the cell again with another storage",
        )
    return DatasetFacts(**state["data"])


def best_network(model: ModelSpec, data: DatasetFacts, folder: CellFolder) -> nn.Module:
    """Return the network of a finished cell, with its best weights.

    Raises:
        UntellableError: The weights are not there, are damaged, or are not those of such a network.
    """
    state = _best_state(folder)
    with own_side(folder, f"no {model.label} can be made of it", remedy=other_version(folder)):
        images = Images(len(data.class_names), data.num_channels, data.image_size)
        network = network_of(model, images, weights=None, built_as=state["model"])
        try:
            network.load_state_dict(state["model"])
        except RuntimeError as error:
            # The first line says that something is wrong, and those below it what.
            details = " ".join(str(error).splitlines()[1:2]).strip() or first_line(error)
            shown = folder.shown("best.pt")
            raise UntellableError(
                f"{shown}: its weights are not those of {model.label} as it is here ({details[:200]})",
                remedy=other_version(folder),
            ) from error
    return network


@lru_cache(maxsize=64)
def _shapes(model: ModelSpec, images: Images) -> dict[str, torch.Size]:
    """Return the shape of each weight of a network; the cells of a sweep have few, and to build one takes time."""
    network = network_of(model, images, weights=None)
    return {name: value.shape for name, value in network.state_dict().items()}


def _best_state(folder: CellFolder) -> dict[str, Any]:
    with own_side(folder, "it cannot be read", remedy=AGAIN):
        state = checkpoint.load(folder.best)
    if state is None:
        raise _lost(folder)
    return state


def _lost(folder: CellFolder) -> UntellableError:
    return UntellableError(
        f"{folder.shown('best.pt')} is not there: the cell's best weights are lost",
        remedy="bring it back: is the disk mounted?\n"
        f"or {AGAIN}; if MLflow has a finished run of it, delete that first: mlflow runs delete --run-id ID",
    )
