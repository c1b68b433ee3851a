"""Whether what a finished cell left can be told to MLflow at all, whatever MLflow says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from orchestrator.errors import first_line
from orchestrator.experiment import Cell
from orchestrator.models import build_model
from orchestrator.records import CellFacts, DatasetFacts, Started, TrackedEvent
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.tracking.errors import UntellableError, own_side

AGAIN = "zetasweep run trains the cell again"


def other_version(folder: CellFolder) -> str:
    """Return what helps a cell whose weights another version wrote."""
    return (
        "zetasweep sync with the versions it was trained with, which environment.json of its run in MLflow names\n"
        f"or remove {folder.path}, and {AGAIN}"
    )


def check_tellable(cell: Cell, events: Sequence[TrackedEvent], folder: CellFolder) -> None:
    """Raise UntellableError if MLflow cannot be given the model of a finished cell.

    Args:
        cell: Which.
        events: Its journal; without one it is only looked whether the weights are there.
        folder: Its own.
    """
    if not folder.best.exists():
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
        f"{folder.path}: its journal does not say what it was trained on",
        remedy="zetasweep run delivers it from the checkpoint, without training",
    )


def best_network(model: str, data: DatasetFacts, folder: CellFolder) -> nn.Module:
    """Return the network of a finished cell, with its best weights.

    Raises:
        UntellableError: The weights are not there, are damaged, or are not those of such a network.
    """
    with own_side(f"{folder.best}: it cannot be read", remedy=AGAIN):
        state = checkpoint.load(folder.best)
    if state is None:
        raise _lost(folder)
    with own_side(f"{folder.best}: no {model} can be made of it", remedy=other_version(folder)):
        network = build_model(
            model,
            num_classes=len(data.class_names),
            num_channels=data.num_channels,
            image_size=data.image_size,
        )
        try:
            network.load_state_dict(state["model"])
        except RuntimeError as error:
            # The first line says that something is wrong, and those below it what.
            details = " ".join(str(error).splitlines()[1:2]).strip() or first_line(error)
            raise UntellableError(
                f"{folder.best}: its weights are not those of {model} as it is here ({details[:200]})",
                remedy=other_version(folder),
            ) from error
    return network


def _lost(folder: CellFolder) -> UntellableError:
    return UntellableError(f"{folder.best} is not there: the cell's best weights are lost", remedy=AGAIN)
