"""The test of a finished cell once more: cells of earlier versions kept no predictions."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from orchestrator.data import Dataset
from orchestrator.experiment import Cell
from orchestrator.storage import CellFolder, Predictions
from orchestrator.train.batches import shard_batches
from orchestrator.train.evaluation import predicted
from orchestrator.train.feed import make_feed
from orchestrator.train.learner import Learner
from orchestrator.train.predictions import predictions_of
from orchestrator.train.trained_network import CPU, best_learner, explaining


def predict_again(cell: Cell, dataset: Dataset, folder: CellFolder) -> Predictions:
    """Return what the test of a finished cell kept, or would have kept, computed anew from its best weights.

    All of it is done on the CPU, in this process. Of a cell that was trained there with as many threads it is the same
    to the bit; one that was trained on a GPU rounds otherwise.

    Args:
        cell: The cell.
        dataset: The data that it was trained on.
        folder: With its best weights.

    Raises:
        UserError: They are not there, are damaged, or are not those of such a network.
        OSError: They cannot be read.
    """
    with explaining(cell, folder):
        learner = best_learner(cell, dataset, folder)
        logits = torch.cat(list(_logits(learner, cell, dataset)))
        return predictions_of(logits, dataset, world_size=cell.workers)


def _logits(learner: Learner, cell: Cell, dataset: Dataset) -> Iterator[Tensor]:
    """Yield the logits of the batches of all ranks, one rank's after the other's."""
    feed = make_feed(dataset.images, CPU)
    for rank in range(cell.workers):
        # Batches of the same images: what a network says of one may depend on the others in its last bit.
        shard = shard_batches(
            len(dataset.test), batch_size=cell.train.batch_size_per_worker, rank=rank, world_size=cell.workers
        )
        yield from predicted(learner, feed, dataset.test, list(shard))
