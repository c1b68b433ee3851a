"""What ζ-mixup is compared with: no mixing, MixUp, and the controls that change one thing at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from augment.blend import Blend, BlendDraw
from augment.contract import (
    Augmentation,
    check_batch_size,
    check_num_mixed,
    check_per,
    check_positive,
    parameter,
)
from augment.weights import dirichlet_weights, kept_p_series_weights, sample_indices


@dataclass(frozen=True)
class ErmDraw:
    """Nothing: empirical risk minimisation draws nothing."""


@dataclass(frozen=True)
class Erm(Augmentation):
    """Empirical risk minimisation: the samples as they are, their labels one-hot."""

    mixes: ClassVar[bool] = False

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


@dataclass(frozen=True)
class MixUp(Blend):
    """MixUp: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, arXiv 1710.09412.

    As in the authors' code one λ is drawn per batch and partners are a random permutation of it, fixed points included.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha); finite and > 0.
        per: What λ is drawn for: the ``batch``, as the authors do, or each ``sample`` of it.
    """

    alpha: float = parameter(check_positive, default=1.0)
    per: Literal["batch", "sample"] = parameter(check_per, default="batch", later=True)

    @property
    def min_batch_size(self) -> int:
        """2: a sample and a partner."""
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw λ and the partners; see `Augmentation.draw`."""
        check_batch_size(self, shape[0])
        indices = sample_pairs(shape[0], generator=generator)
        if self.per == "sample":
            return BlendDraw(indices, dirichlet_weights(2, self.alpha, num_rows=shape[0], generator=generator))
        return BlendDraw(indices, dirichlet_weights(2, self.alpha, num_rows=1, generator=generator)[0])


@dataclass(frozen=True)
class MixUpPSeries(Blend):
    """MixUp with the two weights of a p-series in place of a drawn λ: λ = 1 / (1 + 2^-γ) in every batch.

    The journal's control (Table 8, "T=2, p-series"): against MixUp it tells what the weights do, against ζ-mixup what
    the number of samples does.

    Attributes:
        gamma: γ, finite and > 0.
    """

    gamma: float = parameter(check_positive)

    @property
    def min_batch_size(self) -> int:
        """2: a sample and a partner."""
        return 2

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw the partners; see `Augmentation.draw`."""
        check_batch_size(self, shape[0])
        indices = sample_pairs(shape[0], generator=generator)
        return BlendDraw(indices, kept_p_series_weights(2, self.gamma, generator.device))


@dataclass(frozen=True)
class Dirichlet(Blend):
    """N samples with weights drawn for each output from a symmetric Dirichlet distribution: none need dominate.

    The journal's other control (Table 8, "T=m, Dirichlet(1)"): many samples without the p-series.

    Attributes:
        num_mixed: N, at least 2 and at most the worker's batch.
        alpha: Concentration, finite and > 0.
    """

    num_mixed: int = parameter(check_num_mixed)
    alpha: float = parameter(check_positive, default=1.0)

    @property
    def min_batch_size(self) -> int:
        """N: mixing stays inside one worker's batch."""
        return self.num_mixed

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw partners and weights; see `Augmentation.draw`."""
        indices = sample_indices(shape[0], self.num_mixed, generator=generator)
        weights = dirichlet_weights(self.num_mixed, self.alpha, num_rows=shape[0], generator=generator)
        return BlendDraw(indices, weights)


def sample_pairs(batch_size: int, *, generator: torch.Generator) -> Tensor:
    """Draw a partner for each sample, together a permutation of the batch.

    Returns:
        int64 ``[batch_size, 2]`` on the generator's device; row i is i and its partner.
    """
    device = generator.device
    partner = torch.randperm(batch_size, generator=generator, device=device)
    return torch.stack([torch.arange(batch_size, device=device), partner], dim=1)
