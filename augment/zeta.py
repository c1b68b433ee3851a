"""ζ-mixup: every output is a weighted sum of N samples of the batch, one of which dominates it.

Source: Abhishek, Brown, Hamarneh, J. Big Data 11:43 (2024), arXiv 2204.03323.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from augment.blend import Blend, BlendDraw
from augment.contract import check_num_mixed, check_positive, parameter
from augment.errors import ParameterError
from augment.weights import kept_p_series_weights, p_series_weights, sample_indices


@dataclass(frozen=True)
class ZetaMixup(Blend):
    """ζ-mixup with `num_mixed` samples; with the whole batch it is the paper's own form.

    Attributes:
        gamma: γ, finite and > 0: the larger, the more the first sample dominates, and from `gamma_min` on it
            outweighs all others together. The authors' code defaults to 2.8.
        num_mixed: N, at least 2 and at most the worker's batch.
    """

    gamma: float = parameter(check_positive)
    num_mixed: int = parameter(check_num_mixed)

    @property
    def min_batch_size(self) -> int:
        """N: mixing stays inside one worker's batch."""
        return self.num_mixed

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw the partners of every sample; see `Augmentation.draw`."""
        return BlendDraw(
            indices=sample_indices(shape[0], self.num_mixed, generator=generator),
            weights=kept_p_series_weights(self.num_mixed, self.gamma, generator.device),
        )


@dataclass(frozen=True)
class ZetaMixupRange(Blend):
    """ζ-mixup whose γ is drawn anew for each batch, uniformly from a range.

    Attributes:
        gamma_low: The least γ, finite and > 0.
        gamma_high: The largest, above `gamma_low`.
        num_mixed: N, at least 2 and at most the worker's batch.

    Raises:
        ParameterError: One is out of range, or `gamma_low` is not below `gamma_high`.
    """

    gamma_low: float = parameter(check_positive)
    gamma_high: float = parameter(check_positive)
    num_mixed: int = parameter(check_num_mixed)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma_low >= self.gamma_high:
            raise ParameterError(
                "gamma_low",
                self.gamma_low,
                f"a number below gamma_high={self.gamma_high}",
                "Raise gamma_high, or take zeta_mixup for a single gamma.",
            )

    @property
    def min_batch_size(self) -> int:
        """N: mixing stays inside one worker's batch."""
        return self.num_mixed

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> BlendDraw:
        """Draw the partners of every sample, and γ; see `Augmentation.draw`."""
        device = generator.device
        indices = sample_indices(shape[0], self.num_mixed, generator=generator)
        uniform = torch.rand((), generator=generator, dtype=torch.float64, device=device)
        gamma = self.gamma_low + (self.gamma_high - self.gamma_low) * uniform
        return BlendDraw(indices, p_series_weights(self.num_mixed, gamma, dtype=torch.float64, device=device))
