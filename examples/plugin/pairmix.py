"""An augmentation of your own: what `AUGMENTATIONS` has is a row of experiment files, and its parameters are swept.

augment: [erm, {pairmix: {share: [0.1, 0.3]}}]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from augment import Blend, BlendDraw
from augment.contract import check_batch_size, check_fraction, parameter


@dataclass(frozen=True)
class PairMix(Blend):
    """Adds to each image a little of another one of the batch.

    Attributes:
        share: The most that an image has of its partner; above 0 and below 1.
    """

    share: float = parameter(check_fraction, default=0.2)

    @property
    def min_batch_size(self) -> int:
        """2: an image and a partner."""
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw a partner for each image, and how much of it there is: evenly from 0 to `share`."""
        check_batch_size(self, shape[0])
        num, device = shape[0], generator.device
        partners = torch.randperm(num, generator=generator, device=device)
        of_partner = self.share * torch.rand(num, generator=generator, device=device, dtype=torch.float64)
        return BlendDraw(
            indices=torch.stack([torch.arange(num, device=device), partners], dim=1),
            weights=torch.stack([1 - of_partner, of_partner], dim=1),
        )


AUGMENTATIONS = {"pairmix": PairMix}
