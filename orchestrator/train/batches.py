"""Which samples of a split make the batches of one rank, and in which order.

The order depends on (seed, epoch) only, so a resumed training sees the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from orchestrator.amounts import counted
from orchestrator.errors import CellError
from orchestrator.train.accumulation import check_accumulate
from orchestrator.train.seeds import ORDER, derive_seed


def epoch_order(
    num_samples: int,
    *,
    batch_size_per_worker: int,
    seed: int,
    epoch: int,
    rank: int,
    world_size: int,
    sample_weights: Tensor | None = None,
) -> Tensor:
    """Return the training batches of one rank as indices.

    Each epoch shuffles the whole split, cuts it into global batches and gives each rank its part of every one. What
    does not fill a global batch is left out; another part of the split is left out in each epoch.

    Args:
        num_samples: Of the split.
        batch_size_per_worker: In samples.
        seed: Of the cell.
        epoch: From 1.
        rank: Whose batches.
        world_size: Number of ranks.
        sample_weights: Floating ``[num_samples]``: how often each is to be drawn, with replacement, in place of the
            shuffle; None: each at most once.

    Returns:
        int64 ``[steps, batch_size_per_worker]`` on the CPU.

    Raises:
        CellError: The split is smaller than one global batch.
    """
    check_global_batch(num_samples, batch_size_per_worker=batch_size_per_worker, world_size=world_size)
    global_batch = batch_size_per_worker * world_size
    steps = num_samples // global_batch
    generator = torch.Generator().manual_seed(derive_seed(seed, ORDER, epoch))
    if sample_weights is None:
        order = torch.randperm(num_samples, generator=generator)[: steps * global_batch]
    else:
        weights = _summable(sample_weights)
        order = torch.multinomial(weights, steps * global_batch, replacement=True, generator=generator)
    return order.view(steps, world_size, batch_size_per_worker)[:, rank].contiguous()


def _summable(weights: Tensor) -> Tensor:
    """Return weights whose running sum, in their dtype, holds each of them to a hundredth: float64 if float32 does not.

    torch sums in the dtype that it gets: of a million images that weigh 1, sixteenths are what is left. Float64 for all
    would change what seeds have drawn so far, of 2,000 images about one draw in a thousand.
    """
    rounding = weights.sum() * torch.finfo(weights.dtype).eps / 2
    return weights.double() if rounding > 0.01 * weights.min() else weights


def check_global_batch(
    num_samples: int, *, batch_size_per_worker: int, world_size: int, accumulate: int | None = None
) -> None:
    """Raise CellError if the training split is smaller than one global batch, or than those that make one step."""
    if num_samples < batch_size_per_worker * world_size:
        raise CellError(
            f"the training split has {counted(num_samples, 'image')}, fewer than one global batch of "
            f"{counted(world_size, 'worker')} x {batch_size_per_worker}",
            remedy="lower train.batch_size_per_worker or resources.workers",
        )
    check_accumulate(num_samples // (batch_size_per_worker * world_size), accumulate)


def shard_batches(num_samples: int, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
    """Yield the evaluation batches of one rank: every sample on exactly one rank, none twice, nothing padded.

    A rank gets at least one batch, an empty one if there are fewer samples than ranks.
    """
    yield from torch.split(_shard(num_samples, rank, world_size), batch_size)


def gathered_order(num_samples: int, *, world_size: int) -> Tensor:
    """Return which samples the evaluation batches of all ranks are of, one rank after the other: int64
    ``[num_samples]``.
    """
    return torch.cat([_shard(num_samples, rank, world_size) for rank in range(world_size)])


def _shard(num_samples: int, rank: int, world_size: int) -> Tensor:
    return torch.arange(num_samples)[rank::world_size]
