"""The network of a finished cell with its best weights: what it makes of any images, on the CPU, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrator.data import Dataset
from orchestrator.errors import CellError, UserError, first_line
from orchestrator.experiment import Cell
from orchestrator.models import head_layers
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks

CPU = torch.device("cpu")
_AT_A_TIME = 64


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network makes of images.

    Attributes:
        features: float32 [n, F]: what its head gets.
        logits: float32 [n, num_classes]
    """

    features: Tensor
    logits: Tensor


class TrainedNetwork:
    """The network of a finished cell.

    Args:
        cell: The cell.
        dataset: The data that it was trained on.
        folder: With its best weights.

    Raises:
        UserError: They are not there, are damaged, or are not those of such a network.
        OSError: They cannot be read.
    """

    def __init__(self, cell: Cell, dataset: Dataset, folder: CellFolder) -> None:
        with explaining(cell, folder):
            self._learner = best_learner(cell, dataset, folder)
        self._learner.evaluated.eval()

    def outputs(self, images: Tensor) -> Outputs:
        """Return features and logits of images of the size that the network is tested on.

        Args:
            images: float32 [n, C, S, S] in [0, 1].
        """
        features: list[Tensor] = []

        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            # Of a convolution, with which some networks end, the mean over space.
            features.append(inputs[0].float().flatten(2).mean(2) if inputs[0].dim() == 4 else inputs[0].float())

        hook = head_layers(self._learner.evaluated)[0].register_forward_pre_hook(keep)
        try:
            with torch.inference_mode():
                logits = [self._learner.predict_prepared(255 * each) for each in torch.split(images, _AT_A_TIME)]
        finally:
            hook.remove()
        return Outputs(torch.cat(features), torch.cat(logits))


def best_learner(cell: Cell, dataset: Dataset, folder: CellFolder) -> Learner:
    """Return a cell's network with its best weights; what may be wrong with them, `explaining` says."""
    state = checkpoint.load(folder.best)
    if state is None:
        raise UserError(f"{folder.shown('best.pt')} is not there: nothing can predict without the best weights")
    learner = Learner(
        cell,
        dataset,
        device=CPU,
        ranks=Ranks(CPU),
        backend="torch",
        steps_per_epoch=1,
        built_as=state["model"],
    )
    learner.load_weights(state["model"])
    return learner


@contextmanager
def explaining(cell: Cell, folder: CellFolder) -> Iterator[None]:
    """Raise UserError for what goes wrong with the best weights of a cell."""
    try:
        yield
    except checkpoint.DamagedError as error:
        raise UserError(folder.in_words(error)) from error
    except (CellError, RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"{folder.shown('best.pt')}: no {cell.model.label} can predict with it ({first_line(error)})",
            remedy="try with the versions it was trained with, which environment.json of its run in MLflow names",
        ) from error
