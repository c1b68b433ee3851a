"""What is done to each image on its own before the batch is mixed, and an augmentation that does both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from augment.contract import Augmentation, keep_checked
from augment.mixing import prepare_pixels
from augment.pixels import Normalization, Window, cut


@dataclass(frozen=True)
class SingleImages(ABC):
    """Changes each image of a batch on its own, by what was drawn for it.

    A new one is a frozen dataclass that inherits this class and declares its parameters with `parameter`. As in an
    `Augmentation`, `draw` needs no images, `apply` leaves nothing to chance, and neither waits for a GPU.

    Attributes:
        is_normalized_first: Whether `apply` takes normalised images, else raw pixels.

    Raises:
        ParameterError: A parameter is out of range.
    """

    is_normalized_first: ClassVar[bool] = False

    def __post_init__(self) -> None:
        keep_checked(self)

    @abstractmethod
    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> Any:
        """Draw all that is random for a batch of images of shape ``(B, C, H, W)``, on the generator's device.

        Raises:
            ValueError: Images of such a shape cannot be changed.
        """

    @abstractmethod
    def apply(self, images: Tensor, draw: Any) -> Tensor:
        """Change the images as drawn; the input stays as it is.

        Args:
            images: ``[B, C, H, W]``: uint8, or floating and normalised if `is_normalized_first`.
            draw: From `draw`, for the same shape and on the same device.

        Returns:
            Shape and dtype of the input.
        """


@dataclass(frozen=True, eq=False)
class CombinedDraw:
    """What is done to each image, and to the batch."""

    single: Any
    mixing: Any


@dataclass(frozen=True)
class Combined(Augmentation):
    """Changes each image on its own and then mixes the batch.

    As in the recipes of the field: crops, mirroring and colours come first; then what changes bytes, then the
    normalisation, then what wants normalised images, then mixing. Mixing is done in the same pass as the normalisation
    where nothing comes between them.

    Attributes:
        single: What is done to each image.
        mixing: What is done to the batch.
    """

    single: SingleImages
    mixing: Augmentation

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mixes", self.mixing.mixes)

    @property
    def min_batch_size(self) -> int:
        """That of what mixes."""
        return self.mixing.min_batch_size

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> CombinedDraw:
        """Draw for each image, then for the batch; see `Augmentation.draw`."""
        single = self.single.draw(shape, generator=generator)
        return CombinedDraw(single, self.mixing.draw(shape, generator=generator))

    def apply(self, images: Tensor, targets: Tensor, draw: CombinedDraw) -> tuple[Tensor, Tensor]:
        """Change and mix images in [0, 1], which become bytes on the way where bytes are changed.

        See `Augmentation.apply`.
        """
        if self.single.is_normalized_first:
            changed = self.single.apply(images, draw.single)
        else:
            pixels = images.float().mul(255).round_().clamp_(0, 255).to(torch.uint8)
            # In the memory format of the images.
            changed = torch.empty_like(images).copy_(self.single.apply(pixels, draw.single)).div_(255)
        return self.mixing.apply(changed, targets, draw.mixing)

    def apply_to_pixels(
        self,
        pixels: Tensor,
        targets: Tensor,
        draw: CombinedDraw,
        *,
        window: Window | None,
        normalization: Normalization,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Crop, mirror, change, normalise and mix; see `Augmentation.apply_to_pixels`."""
        if not self.single.is_normalized_first:
            pixels = self.single.apply(cut(pixels, window), draw.single)
            return self.mixing.apply_to_pixels(
                pixels, targets, draw.mixing, window=None, normalization=normalization, dtype=dtype
            )
        images = prepare_pixels(
            pixels, window=window, normalization=normalization, dtype=torch.float32, backend=self.backend
        )
        mixed, soft = self.mixing.apply(self.single.apply(images, draw.single), targets, draw.mixing)
        return mixed.to(dtype), soft
