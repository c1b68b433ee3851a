"""The evaluation of a model on one split, shared among the ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from orchestrator.data import Split
from orchestrator.train.batches import shard_batches
from orchestrator.train.feed import Feed
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks


@torch.inference_mode()
def evaluate(
    learner: Learner,
    feed: Feed,
    split: Split,
    *,
    num_classes: int,
    batch_size: int,
    ranks: Ranks,
    after_batch: Callable[[], None],
    class_names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the metrics of `split` over all ranks, the same on each; called by all of them.

    Args:
        learner: Whose model is evaluated.
        feed: Of the images that `split` is a part of.
        split: Each rank takes its share of it; nothing is padded.
        num_classes: Of the data set.
        batch_size: In samples, on each rank.
        ranks: Of the training.
        after_batch: Called by all ranks after each of the batches that every rank has.
        class_names: In the order of the labels; adds the recall of each class.
    """
    learner.module.eval()
    shard = list(shard_batches(len(split), batch_size=batch_size, rank=ranks.rank, world_size=ranks.world_size))
    common = len(split) // ranks.world_size // batch_size
    logits = []
    for number, pixels in enumerate(feed.batches([split.rows[indices] for indices in shard]), start=1):
        logits.append(learner.predict(pixels))
        if number <= common:
            after_batch()
    labels = split.labels[torch.cat(shard)].to(feed.device)
    # torchmetrics takes seconds to import: a worker that replaces another trains at once, and pays for it here.
    from orchestrator.train.metrics import compute_metrics

    return compute_metrics(torch.cat(logits), labels, num_classes=num_classes, class_names=class_names)
