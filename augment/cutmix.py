"""CutMix, alone and alternating with ζ-mixup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from augment.blend import BlendDraw
from augment.contract import (
    Augmentation,
    check_batch_size,
    check_fraction,
    check_num_mixed,
    check_per,
    check_positive,
    parameter,
)
from augment.pixels import Normalization, Window
from augment.weights import dirichlet_weights
from augment.zeta import ZetaMixup


@dataclass(frozen=True, eq=False)
class CutMixDraw:
    """Who is cut into whom, and where.

    Attributes:
        partner: int64 ``[B]``, a permutation.
        box: int64 ``[4]``, the same for all outputs, or ``[B, 4]``: top, bottom, left, right in pixels, clipped to the
            image; bottom and right are exclusive.
    """

    partner: Tensor
    box: Tensor

    def only_if(self, is_mixed: Tensor) -> CutMixDraw:
        """Return this where `is_mixed` (bool, a scalar on the device), else the draw that leaves the batch as it is."""
        return CutMixDraw(self.partner, torch.where(is_mixed, self.box, 0))


@dataclass(frozen=True)
class CutMix(Augmentation):
    """CutMix: Yun et al., ICCV 2019, arXiv 1905.04899, algorithm 1: one box per batch, partners a random permutation.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha), finite and > 0; the box has sides sqrt(1-λ) of the image's before it is clipped.
        per: What the box is drawn for: the ``batch``, as in the paper, or each ``sample`` of it.
    """

    alpha: float = parameter(check_positive, default=1.0)
    per: Literal["batch", "sample"] = parameter(check_per, default="batch", later=True)

    @property
    def min_batch_size(self) -> int:
        """2: a sample and a partner."""
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> CutMixDraw:
        """Draw the box and the partners; see `Augmentation.draw`."""
        batch_size, _, height, width = shape
        check_batch_size(self, batch_size)
        num_boxes = batch_size if self.per == "sample" else 1
        lam = dirichlet_weights(2, self.alpha, num_rows=num_boxes, generator=generator)[:, 0]
        half = (1 - lam).sqrt() / 2
        partner = torch.randperm(batch_size, generator=generator, device=generator.device)
        boxes = torch.cat([_sample_spans(height, half, generator), _sample_spans(width, half, generator)], dim=1)
        return CutMixDraw(partner, boxes if self.per == "sample" else boxes[0])

    def apply(self, images: Tensor, targets: Tensor, draw: CutMixDraw) -> tuple[Tensor, Tensor]:
        """Paste the partner's box; the targets follow the area that is really pasted. See `Augmentation.apply`."""
        height, width = images.shape[-2:]
        # Of all outputs, or of each: [] or [B, 1, 1].
        top, bottom, left, right = (
            side.view((-1, 1, 1) if draw.box.dim() == 2 else ()) for side in draw.box.unbind(-1)
        )
        rows = torch.arange(height, device=images.device).unsqueeze(1)
        columns = torch.arange(width, device=images.device)
        # A slice would need the box on the host; a mask does not.
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        lam = 1 - ((bottom - top) * (right - left)).double() / (height * width)
        pasted = torch.lerp(targets[draw.partner], targets, lam.to(targets.dtype).view(-1, 1))
        # A mask without a dimension of channels leaves the order in memory to the images.
        there, here = (each.movedim(0, -3) for each in (images[draw.partner], images))
        return torch.where(inside, there, here).movedim(-3, 0), pasted


@dataclass(frozen=True, eq=False)
class CutMixZetaMixupDraw:
    """A draw of both, of which one leaves the batch as it is.

    Attributes:
        blend: ζ-mixup's; its weights are 1, 0, …, 0 where it is CutMix's turn.
        cut: CutMix's; its box is empty where it is ζ-mixup's turn.
    """

    blend: BlendDraw
    cut: CutMixDraw

    def only_if(self, is_mixed: Tensor) -> CutMixZetaMixupDraw:
        """Return this where `is_mixed` (bool, a scalar on the device), else the draw that leaves the batch as it is."""
        return CutMixZetaMixupDraw(self.blend.only_if(is_mixed), self.cut.only_if(is_mixed))


@dataclass(frozen=True)
class CutMixZetaMixup(Augmentation):
    """CutMix or ζ-mixup, by the toss of a coin for each batch: how the ζ-mixup paper combines the two.

    The coin stays on the device, where the host need not wait for it: both are applied, one of them to no effect.

    Attributes:
        gamma: ζ-mixup's γ, finite and > 0.
        num_mixed: ζ-mixup's N, at least 2 and at most the worker's batch.
        alpha: CutMix's, finite and > 0.
        cutmix_prob: The probability that a batch gets CutMix; above 0 and below 1.
    """

    gamma: float = parameter(check_positive)
    num_mixed: int = parameter(check_num_mixed)
    alpha: float = parameter(check_positive, default=1.0)
    cutmix_prob: float = parameter(check_fraction, default=0.5)

    @property
    def min_batch_size(self) -> int:
        """N: mixing stays inside one worker's batch."""
        return self.num_mixed

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> CutMixZetaMixupDraw:
        """Draw for both, and toss the coin; see `Augmentation.draw`."""
        blend = self._zeta_mixup.draw(shape, generator=generator)
        cut = self._cutmix.draw(shape, generator=generator)
        is_cut = torch.rand((), generator=generator, device=generator.device) < self.cutmix_prob
        return CutMixZetaMixupDraw(blend.only_if(~is_cut), cut.only_if(is_cut))

    def apply(self, images: Tensor, targets: Tensor, draw: CutMixZetaMixupDraw) -> tuple[Tensor, Tensor]:
        """Mix, then paste; see `Augmentation.apply`."""
        return self._cutmix.apply(*self._zeta_mixup.apply(images, targets, draw.blend), draw.cut)

    def apply_to_pixels(
        self,
        pixels: Tensor,
        targets: Tensor,
        draw: CutMixZetaMixupDraw,
        *,
        window: Window | None,
        normalization: Normalization,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Mix in one pass where the backend can, then paste; see `Augmentation.apply_to_pixels`."""
        mixed = self._zeta_mixup.apply_to_pixels(
            pixels, targets, draw.blend, window=window, normalization=normalization, dtype=dtype
        )
        return self._cutmix.apply(*mixed, draw.cut)

    # Once for all batches.
    @cached_property
    def _zeta_mixup(self) -> ZetaMixup:
        return ZetaMixup(self.gamma, self.num_mixed, backend=self.backend)

    @cached_property
    def _cutmix(self) -> CutMix:
        return CutMix(self.alpha, backend=self.backend)


def _sample_spans(size: int, half: Tensor, generator: torch.Generator) -> Tensor:
    """Return int64 ``[n, 2]``: start and stop of 2·⌊half·size⌋ pixels around uniform centres, clipped to 0..size.

    Args:
        size: Of the side, in pixels.
        half: float64 ``[n]``, shares of the side.
        generator: The only source of randomness.
    """
    centres = torch.randint(size, half.shape, generator=generator, device=generator.device)
    reach = (half * size).long()
    return torch.stack([centres - reach, centres + reach], dim=1).clamp(0, size)
