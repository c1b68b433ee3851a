"""Mixing with a probability: a batch is mixed, or left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from augment.contract import Augmentation, check_probability, parameter
from augment.mixing import prepare_pixels
from augment.pixels import Normalization, Window


@runtime_checkable
class _CanBeIdle(Protocol):
    """A draw that has a twin which leaves the batch as it is."""

    def only_if(self, is_mixed: Tensor) -> Any: ...


@dataclass(frozen=True, eq=False)
class SometimesDraw:
    """A draw, and whether it counts.

    Attributes:
        mixing: What is mixed, and how.
        is_mixed: bool, a scalar; None if `mixing` itself leaves the batch as it is where it does not count.
    """

    mixing: Any
    is_mixed: Tensor | None


@dataclass(frozen=True)
class Sometimes(Augmentation):
    """Mixes a batch with a given probability and leaves it as it is otherwise, its labels one-hot.

    The coin stays on the device, where the host need not wait for it. A draw with a method ``only_if``, as all have
    that ship here, becomes one that mixes nothing, at no cost; of any other the result is chosen, which costs a pass
    over the images.

    Attributes:
        mixing: What is done to a batch that is mixed.
        probability: That a batch is; above 0 and at most 1. It is drawn once for each batch.
    """

    mixing: Augmentation
    probability: float = parameter(check_probability)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mixes", self.mixing.mixes)

    @property
    def min_batch_size(self) -> int:
        """That of what mixes."""
        return self.mixing.min_batch_size

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> SometimesDraw:
        """Draw for what mixes, and toss the coin; see `Augmentation.draw`."""
        drawn = self.mixing.draw(shape, generator=generator)
        is_mixed = torch.rand((), generator=generator, device=generator.device) < self.probability
        if isinstance(drawn, _CanBeIdle):
            return SometimesDraw(drawn.only_if(is_mixed), None)
        return SometimesDraw(drawn, is_mixed)

    def apply(self, images: Tensor, targets: Tensor, draw: SometimesDraw) -> tuple[Tensor, Tensor]:
        """Mix, or do not; see `Augmentation.apply`."""
        mixed = self.mixing.apply(images, targets, draw.mixing)
        return _chosen(draw.is_mixed, mixed, images, targets)

    def apply_to_pixels(
        self,
        pixels: Tensor,
        targets: Tensor,
        draw: SometimesDraw,
        *,
        window: Window | None,
        normalization: Normalization,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Mix in one pass where the backend can, or do not; see `Augmentation.apply_to_pixels`."""
        mixed = self.mixing.apply_to_pixels(
            pixels, targets, draw.mixing, window=window, normalization=normalization, dtype=dtype
        )
        if draw.is_mixed is None:
            return mixed
        plain = prepare_pixels(pixels, window=window, normalization=normalization, dtype=dtype, backend=self.backend)
        return _chosen(draw.is_mixed, mixed, plain, targets)


def _chosen(
    is_mixed: Tensor | None, mixed: tuple[Tensor, Tensor], images: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    if is_mixed is None:
        return mixed
    return torch.where(is_mixed, mixed[0], images), torch.where(is_mixed, mixed[1], targets)
