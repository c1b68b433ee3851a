"""What is done to the training images before they are mixed, in torchvision's terms: raw pixels in, raw pixels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augment.colors import ColorDraw, ColorJitter, adjust_colors
from augment.crops import PaddingMode, RandomResizedCrop, Region, center_crop, crop, resize, resized_crop
from augment.errors import ParameterError
from augment.pixels import Window, draw_window

CENTER = 224 / 256


@dataclass(frozen=True, eq=False, kw_only=True)
class TransformDraw:
    """All that is random for a batch; what is None is not done.

    Attributes:
        window: What is left to `augment.cut` or `augment.mix_pixels`; nothing else is done then.
        region: What is taken of each image, and which way round.
        colors: How the colours of that change.
    """

    window: Window | None = None
    region: Region | None = None
    colors: ColorDraw | None = None


@dataclass(frozen=True, kw_only=True)
class TrainTransform:
    """Crops, mirrors, turns and recolours each image of a batch on its own, in this order.

    Randomness is apart from arithmetic: `draw` needs no images, `apply` leaves nothing to chance. Neither
    waits for the device.

    A crop and horizontal flips alone, with zeros around the image and no other size, are left to the kernel that
    mixes: `apply` then returns the images as they are, and a window.

    Attributes:
        image_size: Side of the result; None for that of the stored images.
        crop_padding: Pixels added on each side before a crop of `image_size` is taken, each place equally likely.
        padding_mode: ``constant`` adds zeros, ``reflect`` the image mirrored at its outermost pixels.
        hflip: Whether each image is mirrored with probability 1/2, left to right.
        vflip: The same, top to bottom.
        rot90: Whether each image is turned by 0 to 3 quarters, equally likely.
        random_resized_crop: Takes the place of the crop.
        color_jitter: How much colours change.

    Raises:
        ParameterError: A value is out of range, or `crop_padding` stands beside `random_resized_crop`.
    """

    image_size: int | None = None
    crop_padding: int = 0
    padding_mode: PaddingMode = "constant"
    hflip: bool = False
    vflip: bool = False
    rot90: bool = False
    random_resized_crop: RandomResizedCrop | None = None
    color_jitter: ColorJitter | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None:
            _check_integer("image_size", self.image_size, 1)
        _check_integer("crop_padding", self.crop_padding, 0)
        if self.padding_mode not in ("constant", "reflect"):
            raise ParameterError("padding_mode", self.padding_mode, "constant or reflect")
        if self.random_resized_crop is not None and self.crop_padding > 0:
            raise ParameterError("crop_padding", self.crop_padding, "0 beside random_resized_crop", "Drop one of them.")

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> TransformDraw:
        """Draw all that is random for a batch.

        Args:
            shape: Of the images, ``(B, C, H, W)``.
            generator: The only source of randomness; the draw's tensors are on its device. Untouched if nothing is
                random.

        Raises:
            ValueError: The images are not square, or too small for `image_size` or for `crop_padding` with ``reflect``,
                or have other than 1 or 3 channels with `color_jitter`.
        """
        if self._is_window(shape):
            window = draw_window(shape[0], crop_padding=self.crop_padding, hflip=self.hflip, generator=generator)
            return TransformDraw(window=window)
        region = self._draw_region(shape, generator) if self._moves(shape) else None
        colors = self.color_jitter.draw(shape, generator=generator) if self.color_jitter is not None else None
        return TransformDraw(region=region, colors=colors)

    def apply(self, pixels: Tensor, draw: TransformDraw) -> tuple[Tensor, Window | None]:
        """Transform as drawn; the input stays as it is.

        Args:
            pixels: uint8 ``[B, C, H, W]``, in any memory format.
            draw: From `draw`, for the same shape and on the same device.

        Returns:
            uint8 ``[B, C, S, S]``, `pixels` itself where nothing is done here, and the window to be cut out of it.

        Raises:
            ValueError: `pixels` are not uint8, or of a shape that `draw` refuses.
        """
        if pixels.dtype != torch.uint8 or pixels.dim() != 4:
            raise ValueError(f"pixels are {pixels.dtype} {list(pixels.shape)}: torch.uint8 [B, C, H, W] is allowed.")
        if draw.region is not None:
            size = self._size(pixels.shape)
            if self.random_resized_crop is not None:
                pixels = resized_crop(pixels, draw.region, size=size)
            else:
                pixels = crop(pixels, draw.region, size=size, padding=self.crop_padding, padding_mode=self.padding_mode)
        if draw.colors is not None:
            pixels = adjust_colors(pixels, draw.colors)
        return pixels, draw.window

    def for_evaluation(self, pixels: Tensor) -> Tensor:
        """Return what a model that is trained like this is evaluated on: the centre, nothing random.

        With a random resized crop, images are resized first, so that the centre is `CENTER` of the side, as in
        torchvision's references (256 to 224); else objects keep the size that they are trained at.

        Args:
            pixels: uint8 ``[B, C, H, H]``.

        Returns:
            uint8 ``[B, C, S, S]``.
        """
        side = pixels.shape[-1]
        return center_crop(resize(pixels, self.evaluation_side(side)), self.image_size or side)

    def evaluation_side(self, side: int) -> int:
        """Return what `for_evaluation` resizes the side of images to, before it takes the centre."""
        if self.random_resized_crop is None:
            return side
        size = self.image_size or side
        return max(size, min(side, round(size / CENTER)))

    def _draw_region(self, shape: Sequence[int], generator: torch.Generator) -> Region:
        batch_size, _, side, _ = shape
        size, device = self._size(shape), generator.device
        if self.random_resized_crop is not None:
            top, left, height, width = self.random_resized_crop.draw(batch_size, side, generator=generator)
        else:
            # The first draw moves the crop to the side, the second down, as in `draw_window`.
            left, top = _draw_integers(side + 2 * self.crop_padding - size + 1, (2, batch_size), generator)
            height = width = torch.full((batch_size,), size, device=device)
        hflip = _draw_integers(2 if self.hflip else 1, (batch_size,), generator) == 1
        vflip = _draw_integers(2 if self.vflip else 1, (batch_size,), generator) == 1
        rot90 = _draw_integers(4, (batch_size,), generator) if self.rot90 else None
        return Region(top=top, left=left, height=height, width=width, hflip=hflip, vflip=vflip, rot90=rot90)

    def _is_window(self, shape: Sequence[int]) -> bool:
        """Whether all there is to do is what a `Window` says."""
        reflects = self.crop_padding > 0 and self.padding_mode == "reflect"
        moves = self.vflip or self.rot90 or reflects or self.random_resized_crop is not None or self._resizes(shape)
        return not moves and not (self.color_jitter is not None and self.color_jitter.changed(shape[1]))

    def _moves(self, shape: Sequence[int]) -> bool:
        """Whether any pixel may come to stand elsewhere."""
        mirrors = self.hflip or self.vflip or self.rot90
        return mirrors or self.crop_padding > 0 or self.random_resized_crop is not None or self._resizes(shape)

    def _resizes(self, shape: Sequence[int]) -> bool:
        return self.image_size is not None and any(side != self.image_size for side in shape[2:])

    def _size(self, shape: Sequence[int]) -> int:
        """Return the side of the result; raise ValueError if images of `shape` cannot be brought to it."""
        side, width = shape[2:]
        if side != width:
            raise ValueError(f"images of {side} x {width} pixels are not allowed: square ones are.")
        size = side if self.image_size is None else self.image_size
        if self.random_resized_crop is not None:
            return size
        if self.padding_mode == "reflect" and self.crop_padding >= side:
            raise ParameterError(
                "crop_padding",
                self.crop_padding,
                f"less than {side} (the side of the images)",
                "Lower it, or use padding_mode=constant.",
            )
        if size > side + 2 * self.crop_padding:
            raise ParameterError(
                "image_size",
                size,
                f"at most {side + 2 * self.crop_padding} (the side of the padded images)",
                "Raise crop_padding, or use random_resized_crop.",
            )
        return size


def _draw_integers(count: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw from 0..`count`-1, int64; nothing is drawn where only 0 is possible."""
    if count == 1:
        return torch.zeros(shape, dtype=torch.int64, device=generator.device)
    return torch.randint(0, count, shape, generator=generator, device=generator.device)


def _check_integer(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(name, value, f"an integer of at least {least}")
