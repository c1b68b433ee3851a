"""What an augmentation makes of images, batch by batch as in a training, but without crops and flips before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from augment import Augmentation, Combined, one_hot
from orchestrator.report.measures.blending import effective_number, entropy, ghosting, second_weight

# Of mixup and CutMix a batch is one draw of λ: a mean over so many is known to a fortieth of its range.
NUM_DRAWS = 100
# How large images are made for the sake of a draw alone: λ of CutMix is an area, in whole pixels.
_SIDE = 32


@dataclass(frozen=True, eq=False)
class Mixed:
    """Images and their labels after mixing.

    Attributes:
        images: float32 [n, C, S, S] in [0, 1]; image i leads output i.
        targets: float32 [n, num_classes], rows sum to 1.
    """

    images: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Blending:
    """How an augmentation blends: means over `NUM_DRAWS` batches.

    Attributes:
        ghosting: See `orchestrator.report.measures.blending.ghosting`; of each pixel, so that what is pasted is none.
        second_weight: Likewise of each pixel.
        effective_number: Of the samples in a label.
        entropy: Of a label, in nats.
    """

    ghosting: float
    second_weight: float
    effective_number: float
    entropy: float


def mixed(
    augmentation: Augmentation, images: Tensor, labels: Tensor, *, num_classes: int, batch_size: int, seed: int
) -> Mixed:
    """Mix images in batches.

    Args:
        augmentation: It needs `batch_size` images or fewer.
        images: float32 [n, C, S, S] in [0, 1].
        labels: int64 [n]
        num_classes: K.
        batch_size: At most n. Where it does not divide n, the last batch begins earlier, and its first outputs are
            left out.
        seed: Of all that is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    targets = one_hot(labels, num_classes)
    found = []
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        batch = slice(stop - batch_size, stop)
        draw = augmentation.draw(images[batch].shape, generator=generator)
        outputs = augmentation.apply(images[batch], targets[batch], draw)
        found.append([each[start - stop :] for each in outputs])
    return Mixed(*(torch.cat(each) for each in zip(*found, strict=True)))


def blending(
    augmentation: Augmentation, labels: Tensor, *, num_classes: int, batch_size: int, image_size: int, seed: int
) -> Blending:
    """Measure how an augmentation blends.

    Args:
        augmentation: See `mixed`.
        labels: int64 [n]: batches are drawn from them.
        num_classes: K.
        batch_size: At most n.
        image_size: Height and width in pixels.
        seed: Of all that is drawn.
    """
    if isinstance(augmentation, Combined):
        # What it does to each image has no part in it, and the probes below are no pictures.
        augmentation = augmentation.mixing
    generator = torch.Generator().manual_seed(seed)
    targets, themselves = one_hot(labels, num_classes), torch.eye(batch_size)
    side = min(image_size, _SIDE)
    blank = torch.zeros(batch_size, 1, side, side)
    # Image i is 1 in channel i, so that the mixed ones are the weights of each pixel; more of these take long.
    probes = themselves[:, :, None, None].expand(-1, -1, 2, 2).contiguous()
    found = []
    for _ in range(NUM_DRAWS):
        chosen = torch.randperm(len(labels), generator=generator)[:batch_size]
        _, shares = augmentation.apply(blank, themselves, augmentation.draw(blank.shape, generator=generator))
        shown, _ = augmentation.apply(probes, themselves, augmentation.draw(probes.shape, generator=generator))
        of_pixels = shown.movedim(1, -1)
        measures = (
            ghosting(of_pixels),
            second_weight(of_pixels),
            effective_number(shares),
            entropy(shares @ targets[chosen]),
        )
        found.append(torch.stack([each.mean() for each in measures]))
    return Blending(*torch.stack(found).mean(dim=0).tolist())
