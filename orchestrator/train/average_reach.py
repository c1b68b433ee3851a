"""How far back the average of the weights reaches, and whether a training has so many steps."""

from __future__ import annotations

import math

from orchestrator.amounts import counted
from orchestrator.experiment import TrainSettings


def doubt_of_average(train: TrainSettings, *, num_images: int, world_size: int) -> str:
    """Return why the average of ``train.ema_decay`` is hardly one; empty if it is, or none is kept.

    About the last 1 / (1 - decay) steps are in it: with fewer in all it has not left the first weights.

    Args:
        train: How a cell is trained.
        num_images: Of its training split.
        world_size: How many workers train it.
    """
    if train.ema_decay is None:
        return ""
    batches = num_images // (train.batch_size_per_worker * world_size)
    steps = train.epochs * math.ceil(batches / (train.accumulate or 1))
    reach = round(1 / (1 - train.ema_decay))
    if reach <= steps:
        return ""
    return (
        f"train.ema_decay={train.ema_decay:g} averages the weights over about the last {counted(reach, 'step')}, and a "
        f"training of {counted(train.epochs, 'epoch')} has {steps:,}: its first weights stay in what is tested; lower "
        "train.ema_decay, or train longer"
    )
