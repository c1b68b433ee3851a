"""The evaluation of a model on one split, shared among the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from orchestrator.data import Dataset, Split
from orchestrator.train.batches import shard_batches
from orchestrator.train.feed import Feed
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks

if TYPE_CHECKING:
    from orchestrator.train.metrics import JudgedTest


class Evaluator:
    """Judges the model of a training; its methods return the same on each rank, and are called by all of them.

    Args:
        learner: Whose model is evaluated.
        feed: Of the images of `dataset`.
        dataset: Each rank takes its share of a split; nothing is padded.
        batch_size: In samples, on each rank.
        ranks: Of the training.
    """

    def __init__(self, learner: Learner, feed: Feed, dataset: Dataset, *, batch_size: int, ranks: Ranks) -> None:
        self._learner, self._feed, self._dataset = learner, feed, dataset
        self._batch_size, self._ranks = batch_size, ranks

    def validate(self, *, after_batch: Callable[[], None]) -> dict[str, float]:
        """Return the metrics of the validation split.

        Args:
            after_batch: Called by all ranks after each of the batches that every rank has.
        """
        logits, own = self._predicted(self._dataset.val, after_batch)
        labels = self._dataset.val.labels[own].to(self._feed.device)
        # torchmetrics takes seconds to import: a worker that replaces another trains at once, and pays for it here.
        from orchestrator.train.metrics import compute_metrics

        return compute_metrics(logits, labels, num_classes=self._dataset.num_classes)

    def test(self, *, after_batch: Callable[[], None]) -> JudgedTest:
        """Judge the predictions for the test split; see `validate`."""
        logits, own = self._predicted(self._dataset.test, after_batch)
        labels = self._dataset.test.labels[own].to(self._feed.device)
        groups = self._dataset.test_groups
        of_own = groups[own].to(self._feed.device) if groups is not None else None
        from orchestrator.train.metrics import judge_test

        return judge_test(logits, labels, num_classes=self._dataset.num_classes, groups=of_own)

    def _predicted(self, split: Split, after_batch: Callable[[], None]) -> tuple[Tensor, Tensor]:
        """Return the logits of this rank's share of `split`, and which of its samples they are of."""
        ranks, size = self._ranks, self._batch_size
        shard = list(shard_batches(len(split), batch_size=size, rank=ranks.rank, world_size=ranks.world_size))
        common = len(split) // ranks.world_size // size
        logits = []
        for number, of_batch in enumerate(predicted(self._learner, self._feed, split, shard), start=1):
            logits.append(of_batch)
            if number <= common:
                after_batch()
        return torch.cat(logits), torch.cat(shard)


def predicted(learner: Learner, feed: Feed, split: Split, shard: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the logits of each batch of a rank's share of `split`, float32 ``[n, num_classes]`` on the device.

    Args:
        learner: Whose model predicts.
        feed: Of the images of the data set.
        split: A part of it.
        shard: Which samples of `split` are in each batch (`orchestrator.train.batches.shard_batches`).
    """
    learner.evaluated.eval()
    for pixels in feed.batches([split.rows[indices] for indices in shard]):
        with torch.inference_mode():
            logits = learner.predict(pixels)
        yield logits
