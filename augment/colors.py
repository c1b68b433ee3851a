"""Random brightness, contrast, saturation and hue, as torchvision's ColorJitter means them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from augment.errors import ParameterError


@dataclass(frozen=True, eq=False, kw_only=True)
class ColorDraw:
    """How the colours of each image change; what is None stays as it is.

    Attributes:
        brightness: float32 ``[B]``, at least 0: every pixel times this factor.
        contrast: float32 ``[B]``, at least 0: 0 gives the mean grey of the image, 1 the image.
        saturation: float32 ``[B]``, at least 0: 0 gives the grey image, 1 the image.
        hue: float32 ``[B]`` in [-0.5, 0.5]: how far colours move around the circle, 1 being the whole of it.
    """

    brightness: Tensor | None = None
    contrast: Tensor | None = None
    saturation: Tensor | None = None
    hue: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Changes brightness, contrast, saturation and hue of each image, always in this order.

    torchvision draws the order anew for each call. What 0 stands for is not changed and not drawn; nor are saturation
    and hue of images of one channel.

    Attributes:
        brightness: x ≥ 0 for a factor that is uniform in [max(0, 1-x), 1+x].
        contrast: Likewise.
        saturation: Likewise.
        hue: x in [0, 0.5] for a shift that is uniform in [-x, x].

    Raises:
        ParameterError: One is out of range.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            most = 0.5 if entry.name == "hue" else sys.float_info.max
            object.__setattr__(self, entry.name, _check_strength(entry.name, getattr(self, entry.name), most))

    def changed(self, num_channels: int) -> list[str]:
        """Return the names of what changes in images of `num_channels` channels.

        Raises:
            ValueError: They have neither one channel nor three.
        """
        if num_channels not in (1, 3):
            raise ValueError(f"color_jitter is not allowed for images of {num_channels} channels: 1 or 3 are.")
        names = ("brightness", "contrast") if num_channels == 1 else ("brightness", "contrast", "saturation", "hue")
        return [name for name in names if getattr(self, name) > 0]

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> ColorDraw:
        """Draw factors and shifts for a batch of images of shape ``(B, C, H, W)``, on the generator's device.

        Raises:
            ValueError: C is neither 1 nor 3.
        """
        drawn = {}
        for name in self.changed(shape[1]):
            strength = getattr(self, name)
            low, high = (-strength, strength) if name == "hue" else (max(0.0, 1 - strength), 1 + strength)
            empty = torch.empty(shape[0], dtype=torch.float32, device=generator.device)
            drawn[name] = empty.uniform_(low, high, generator=generator)
        return ColorDraw(**drawn)


def adjust_colors(pixels: Tensor, draw: ColorDraw) -> Tensor:
    """Change the colours as drawn, in float32; clamp after each of the four, and round once.

    Args:
        pixels: uint8 ``[B, C, H, W]``; three channels are red, green and blue.
        draw: On the device of `pixels`; of saturation and hue it has none unless there are three channels.

    Returns:
        uint8 ``[B, C, H, W]``, contiguous; `pixels` itself if nothing was drawn.
    """
    factors = [
        None if factor is None else factor.view(-1, 1, 1, 1)
        for factor in (draw.brightness, draw.contrast, draw.saturation, draw.hue)
    ]
    if all(factor is None for factor in factors):
        return pixels
    images = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    brightness, contrast, saturation, hue = factors
    if brightness is not None:
        images.mul_(brightness).clamp_(0, 1)
    if contrast is not None:
        _blend_(images, _grey(images.mean((2, 3), keepdim=True)), contrast)
    if saturation is not None:
        _blend_(images, _grey(images), saturation)
    if hue is not None:
        images = _shift_hue(images, hue)
    return images.mul_(255).round_().to(torch.uint8)


def _blend_(images: Tensor, other: Tensor, factor: Tensor) -> None:
    images.mul_(factor).add_(other * (1 - factor)).clamp_(0, 1)


def _grey(images: Tensor) -> Tensor:
    """Return ``[B, 1, H, W]``, the luma of ITU-R BT.601 with the digits that torchvision uses."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unsqueeze(2).unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def _shift_hue(images: Tensor, hue: Tensor) -> Tensor:
    """Return `images` with the hue of HSV moved by `hue` ``[B, 1, 1, 1]``; value and saturation stay.

    Back in RGB a channel is value - chroma · min(max(min(k, 4 - k), 0), 1) for k = (n + 6·hue) mod 6, where n is 5 for
    red, 3 for green, 1 for blue: what the six cases of the usual code come to.
    """
    red, green, blue = images.unsqueeze(2).unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # A grey pixel has no hue and needs none.
    divisor = torch.where(chroma > 0, chroma, 1.0)
    from_red, from_green, from_blue = (green - blue) / divisor, (blue - red) / divisor + 2, (red - green) / divisor + 4
    sixths = torch.where(value == red, from_red, torch.where(value == green, from_green, from_blue)).add_(6 * hue)
    shifted = torch.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        falls = (sixths + offset).remainder_(6).sub_(2).abs_().neg_().add_(2).clamp_(0, 1)
        torch.addcmul(value, chroma, falls, value=-1, out=shifted[:, channel : channel + 1])
    return shifted


def _check_strength(name: str, value: Any, most: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= most:
        allowed = f"a number from 0 to {most}" if most < 1 else "a finite number of at least 0"
        raise ParameterError(name, value, allowed)
    return float(value)
