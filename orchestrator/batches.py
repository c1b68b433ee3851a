"""From a split in memory to the batches of one rank: which samples, in which order, cropped, flipped and normalised.

The order depends on (seed, epoch) only and the random crops on (seed, epoch, rank), so a resumed training sees the
same batches.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from orchestrator.errors import CellError

ORDER, AUGMENT, MODEL = 0, 1, 2


def derive_seed(seed: int, *path: int) -> int:
    """Return a 63-bit seed for one stream of random numbers, e.g. ``derive_seed(seed, AUGMENT, epoch, rank)``."""
    # As one list, [seed, *path] and [seed, *path, 0] would be the same stream: NumPy fills up with zeros.
    sequence = np.random.SeedSequence(seed, spawn_key=path)
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def epoch_order(
    num_samples: int, *, batch_size_per_worker: int, seed: int, epoch: int, rank: int, world_size: int
) -> Tensor:
    """Return the training batches of one rank as indices.

    Each epoch shuffles the whole split, cuts it into global batches and gives each rank its part of every one. What
    does not fill a global batch is left out; another part of the split is left out in each epoch.

    Returns:
        int64 ``[steps, batch_size_per_worker]`` on the CPU.

    Raises:
        CellError: The split is smaller than one global batch.
    """
    global_batch = batch_size_per_worker * world_size
    steps = num_samples // global_batch
    if steps == 0:
        raise CellError(
            f"the training split has {num_samples} images, fewer than one global batch of {world_size} workers x "
            f"{batch_size_per_worker}: lower train.batch_size_per_worker or resources.workers"
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, ORDER, epoch))
    order = torch.randperm(num_samples, generator=generator)[: steps * global_batch]
    return order.view(steps, world_size, batch_size_per_worker)[:, rank].contiguous()


def crop_and_flip(images: Tensor, *, crop_padding: int, hflip: bool, generator: torch.Generator) -> Tensor:
    """Cut a random window of the original size out of each zero-padded image and mirror half of them, in one gather.

    Args:
        images: ``[B, C, H, W]`` of any dtype, on the generator's device.
        crop_padding: Pixels added on each side; 0 leaves the image in place.
        hflip: Whether each image is mirrored with probability 1/2.
        generator: Draws offsets and flips.

    Returns:
        ``[B, C, H, W]``, dtype of `images`; `images` itself if there is nothing to do.
    """
    if crop_padding == 0 and not hflip:
        return images
    batch_size, _, height, width = images.shape
    device = images.device
    offsets = torch.randint(0, 2 * crop_padding + 1, (2, batch_size, 1), generator=generator, device=device)
    flipped = torch.rand((batch_size, 1), generator=generator, device=device) < (0.5 if hflip else 0.0)
    columns = torch.arange(width, device=device)
    columns = torch.where(flipped, width - 1 - columns, columns) + offsets[0]
    rows = torch.arange(height, device=device) + offsets[1]
    padded = F.pad(images, (crop_padding,) * 4)
    samples = torch.arange(batch_size, device=device)[:, None, None]
    return padded[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class PixelNormalizer:
    """Turns ``uint8`` images into ``float32`` ones with the given mean and standard deviation per channel."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], *, device: torch.device) -> None:
        self._scale = (255.0 * torch.tensor(std, device=device)).reciprocal().view(1, -1, 1, 1)
        self._shift = (torch.tensor(mean, device=device) / torch.tensor(std, device=device)).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Return ``(images / 255 - mean) / std``, float32 ``[B, C, H, W]``, channels_last."""
        normalized = images.to(torch.float32).mul_(self._scale).sub_(self._shift)
        return normalized.contiguous(memory_format=torch.channels_last)


def shard_batches(num_samples: int, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
    """Yield the evaluation batches of one rank: every sample on exactly one rank, none twice, nothing padded.

    A rank gets at least one batch, an empty one if there are fewer samples than ranks.
    """
    yield from torch.split(torch.arange(num_samples)[rank::world_size], batch_size)
