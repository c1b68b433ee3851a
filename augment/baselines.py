"""What ζ-mixup is compared with: no mixing, MixUp and CutMix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from augment.contract import Augmentation, check_batch_size, check_positive, compute_dtype


@dataclass(frozen=True)
class ErmDraw:
    """Nothing: empirical risk minimisation draws nothing."""


@dataclass(frozen=True)
class Erm(Augmentation):
    """Empirical risk minimisation: the samples as they are, their labels one-hot."""

    backend: ClassVar[str] = "none"

    @property
    def min_batch_size(self) -> int:
        """1: nothing is mixed."""
        return 1

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> ErmDraw:
        """Draw nothing and leave the generator where it is."""
        check_batch_size(self, shape[0])
        return ErmDraw()

    def apply(self, images: Tensor, targets: Tensor, draw: ErmDraw) -> tuple[Tensor, Tensor]:
        """Return the inputs themselves."""
        return images, targets


@dataclass(frozen=True, eq=False)
class MixUpDraw:
    """Who is mixed with whom, and how much.

    Attributes:
        partner: int64 ``[B]``, a permutation.
        lam: float64 scalar in [0, 1], the weight of the sample itself; its partner gets the rest.
    """

    partner: Tensor
    lam: Tensor


@dataclass(frozen=True)
class MixUp(Augmentation):
    """MixUp: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, arXiv 1710.09412.

    As in the authors' code one λ is drawn per batch and partners are a random permutation of it, fixed points included.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha); finite and > 0.

    Raises:
        ValueError: `alpha` is out of range.
    """

    backend: ClassVar[str] = "torch"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_positive("alpha", self.alpha))

    @property
    def min_batch_size(self) -> int:
        """2: a sample and a partner."""
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> MixUpDraw:
        """Draw λ and the partners; see `Augmentation.draw`."""
        check_batch_size(self, shape[0])
        return MixUpDraw(
            partner=torch.randperm(shape[0], generator=generator, device=generator.device),
            lam=_sample_symmetric_beta(self.alpha, generator),
        )

    def apply(self, images: Tensor, targets: Tensor, draw: MixUpDraw) -> tuple[Tensor, Tensor]:
        """Return λ · sample + (1-λ) · partner; see `Augmentation.apply`."""
        pixels = images.to(compute_dtype(images))
        mixed = torch.lerp(pixels[draw.partner], pixels, draw.lam.to(pixels.dtype))
        return mixed.to(images.dtype), _blend(targets, draw.partner, draw.lam)


@dataclass(frozen=True, eq=False)
class CutMixDraw:
    """Who is cut into whom, and where.

    Attributes:
        partner: int64 ``[B]``, a permutation.
        box: int64 ``[4]``: top, bottom, left, right in pixels, clipped to the image; bottom and right are exclusive.
    """

    partner: Tensor
    box: Tensor


@dataclass(frozen=True)
class CutMix(Augmentation):
    """CutMix: Yun et al., ICCV 2019, arXiv 1905.04899, algorithm 1: one box per batch, partners a random permutation.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha), finite and > 0; the box has sides sqrt(1-λ) of the image's before it is clipped.

    Raises:
        ValueError: `alpha` is out of range.
    """

    backend: ClassVar[str] = "torch"

    alpha: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_positive("alpha", self.alpha))

    @property
    def min_batch_size(self) -> int:
        """2: a sample and a partner."""
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> CutMixDraw:
        """Draw the box and the partners; see `Augmentation.draw`."""
        batch_size, _, height, width = shape
        check_batch_size(self, batch_size)
        half = (1 - _sample_symmetric_beta(self.alpha, generator)).sqrt() / 2
        return CutMixDraw(
            partner=torch.randperm(batch_size, generator=generator, device=generator.device),
            box=torch.cat([_sample_span(height, half, generator), _sample_span(width, half, generator)]),
        )

    def apply(self, images: Tensor, targets: Tensor, draw: CutMixDraw) -> tuple[Tensor, Tensor]:
        """Paste the partner's box; the targets follow the area that is really pasted. See `Augmentation.apply`."""
        height, width = images.shape[-2:]
        top, bottom, left, right = draw.box.unbind()
        rows = torch.arange(height, device=images.device).unsqueeze(1)
        columns = torch.arange(width, device=images.device)
        # A slice would need the box on the host; a mask does not.
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        lam = 1 - ((bottom - top) * (right - left)).double() / (height * width)
        return torch.where(inside, images[draw.partner], images), _blend(targets, draw.partner, lam)


def _blend(targets: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    return torch.lerp(targets[partner], targets, lam.to(targets.dtype))


def _sample_span(size: int, half: Tensor, generator: torch.Generator) -> Tensor:
    """Return int64 ``[2]``: start and stop of 2·⌊half·size⌋ pixels around a uniform centre, clipped to 0..size."""
    centre = torch.randint(size, (), generator=generator, device=generator.device)
    reach = (half * size).long()
    return torch.stack([centre - reach, centre + reach]).clamp(0, size)


def _sample_symmetric_beta(alpha: float, generator: torch.Generator) -> Tensor:
    """Draw λ ~ Beta(alpha, alpha), a float64 scalar on the generator's device.

    `torch.distributions` draws from the global generator only; the private function it calls takes an explicit one.

    λ = g₁ / (g₁ + g₂) for two Gamma(alpha) variables. Each is made as Gamma(alpha + 1) · u^(1/alpha) and kept as a
    logarithm: drawn directly for alpha = 0.001, both underflow in a quarter of the draws and λ, in truth next to 0 or
    1, comes out as 1/2.
    """
    shape = torch.full((2,), alpha + 1, dtype=torch.float64, device=generator.device)
    log_gamma = torch._standard_gamma(shape, generator=generator).log()
    uniform = 1 - torch.rand(2, generator=generator, dtype=torch.float64, device=generator.device)
    log_uniform = uniform.log()  # finite: 1 - [0, 1) excludes 0
    return torch.sigmoid(log_gamma[0] - log_gamma[1] + (log_uniform[0] - log_uniform[1]) / alpha)
