"""Square parts of images, mirrored, turned, and brought to a size: which part is drawn first, then cut out."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from augment.errors import ParameterError

PaddingMode = Literal["constant", "reflect"]

# As many as torchvision tries one after the other.
NUM_CANDIDATES = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Region:
    """Which part of each image is taken, and which way round: first mirrored, then turned.

    Attributes:
        top: int64 ``[B]``, its first row, of the padded image if there is padding.
        left: int64 ``[B]``, its first column.
        height: int64 ``[B]``, at least 1.
        width: int64 ``[B]``, at least 1.
        hflip: bool ``[B]``: columns from right to left.
        vflip: bool ``[B]``: rows from bottom to top.
        rot90: int64 ``[B]`` in 0..3: quarter turns counter-clockwise, as ``torch.rot90(image, k, dims=(-2, -1))``;
            None for none.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    hflip: Tensor
    vflip: Tensor
    rot90: Tensor | None = None

    def axes(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return bool ``[B]`` each: whether rows are reversed, whether columns are, and then the two exchanged."""
        if self.rot90 is None:
            return self.vflip, self.hflip, None
        upside_down, right_to_left = self.rot90 >= 2, (self.rot90 == 1) | (self.rot90 == 2)
        return self.vflip ^ upside_down, self.hflip ^ right_to_left, self.rot90 % 2 == 1


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """Takes a part of random area and shape, to be brought to the size wanted.

    Attributes:
        scale: Bounds of its area, uniform, as a share of the image: above 0, at most 1.
        ratio: Bounds of width / height, whose logarithm is uniform: finite and above 0.

    Raises:
        ParameterError: Bounds are out of range or in the wrong order.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale("scale", self.scale))
        object.__setattr__(self, "ratio", check_ratio("ratio", self.ratio))

    def draw(self, batch_size: int, side: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw a part of each image of `side` · `side` pixels.

        Of ten candidates the first that fits is taken, anywhere in the image; if none does, the largest part in the
        middle whose shape is allowed.

        Returns:
            top, left, height, width: int64 ``[B]`` on the device of `generator`.
        """
        shape, device = (2 * NUM_CANDIDATES + 2, batch_size), generator.device
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        shares, shapes, places = uniform[2::2], uniform[3::2], uniform[:2]
        areas = side**2 * (self.scale[0] + (self.scale[1] - self.scale[0]) * shares)
        low, high = (math.log(bound) for bound in self.ratio)
        ratios = torch.exp(low + (high - low) * shapes)
        height, width, fits = _first_that_fits((areas / ratios).sqrt(), (areas * ratios).sqrt(), side)
        middle_height, middle_width = self._in_the_middle(side)
        height = torch.where(fits, height, middle_height)
        width = torch.where(fits, width, middle_width)
        top = torch.where(fits, (places[0] * (side - height + 1)).long(), (side - middle_height) // 2)
        left = torch.where(fits, (places[1] * (side - width + 1)).long(), (side - middle_width) // 2)
        return top, left, height, width

    def _in_the_middle(self, side: int) -> tuple[int, int]:
        low, high = self.ratio
        if low > 1:
            return max(1, round(side / low)), side
        if high < 1:
            return side, max(1, round(side * high))
        return side, side


def _first_that_fits(heights: Tensor, widths: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return height, width, and whether there is one that fits, ``[B]``, of candidates ``[N, B]``."""
    heights, widths = heights.round().long(), widths.round().long()
    fit = (heights >= 1) & (heights <= side) & (widths >= 1) & (widths <= side)
    # The index of the first maximum.
    first = fit.int().argmax(0, keepdim=True)
    return heights.gather(0, first).squeeze(0), widths.gather(0, first).squeeze(0), fit.any(0)


def crop(pixels: Tensor, region: Region, *, size: int, padding: int, padding_mode: PaddingMode) -> Tensor:
    """Pad, crop, mirror and turn each image, in one gather.

    Args:
        pixels: ``[B, C, H, W]`` of any dtype.
        region: Of S · S pixels, inside the padded image.
        size: S.
        padding: Pixels added on each side, fewer than H and W if they are to reflect.
        padding_mode: ``constant`` adds zeros, ``reflect`` the image mirrored at its outermost pixels.

    Returns:
        ``[B, C, S, S]``, contiguous, dtype of `pixels`.
    """
    rows_reversed, columns_reversed, exchanged = region.axes()
    rows = region.top[:, None] + _steps(size, rows_reversed)
    columns = region.left[:, None] + _steps(size, columns_reversed)
    if padding_mode == "reflect":
        rows, columns = (
            _reflected(taken - padding, side) for taken, side in zip((rows, columns), pixels.shape[2:], strict=True)
        )
    elif padding > 0:
        pixels = F.pad(pixels, (padding,) * 4)
    down, across = rows * pixels.shape[3], columns
    if exchanged is not None:
        down, across = (
            torch.where(exchanged[:, None], across, down),
            torch.where(exchanged[:, None], down, across),
        )
    index = (down[:, :, None] + across[:, None, :]).flatten(1).unsqueeze(1)
    # A gather takes a quarter of the time of pixels[samples, :, rows, columns] on a CPU.
    taken = pixels.flatten(2).gather(2, index.expand(-1, pixels.shape[1], -1))
    return taken.view(*pixels.shape[:2], size, size)


def resized_crop(pixels: Tensor, region: Region, *, size: int) -> Tensor:
    """Cut the region out of each image, bring it to a size, mirror and turn it.

    As `torch.nn.functional.interpolate` with ``mode="bilinear", antialias=True``, of another region in each image: two
    products with matrices whose rows weigh the pixels for one output.

    Args:
        pixels: uint8 ``[B, C, H, W]``.
        region: Inside the image.
        size: S.

    Returns:
        uint8 ``[B, C, S, S]``, contiguous; sums are taken in float32 and rounded once. Where torch is told to multiply
        matrices in TensorFloat-32 on a GPU (``torch.backends.cuda.matmul.allow_tf32``), weights and images are rounded
        to that before.
    """
    batch_size, channels, height, width = pixels.shape
    rows_reversed, columns_reversed, exchanged = region.axes()
    down = _weights(region.top, region.height, rows_reversed, side=height, size=size)
    across = _weights(region.left, region.width, columns_reversed, side=width, size=size)
    # With the rows before the channels both products are of one matrix per image.
    images = pixels.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    # Autocast would round the weights to bfloat16.
    with torch.autocast(pixels.device.type, enabled=False):
        resized = down @ images.view(batch_size, height, channels * width)
        resized = resized.view(batch_size, size * channels, width) @ across.mT
    # Weights that sum to 1 but for a rounding can exceed 255.
    resized = resized.round_().clamp_(0, 255).to(torch.uint8).view(batch_size, size, channels, size).transpose(1, 2)
    if exchanged is not None:
        resized = torch.where(exchanged[:, None, None, None], resized.mT, resized)
    return resized.contiguous()


def resize(pixels: Tensor, size: int) -> Tensor:
    """Return images resized bilinearly with antialiasing, as torchvision does it and rounded.

    Args:
        pixels: uint8 ``[B, C, S, S]``.
        size: Side of the result; `pixels` themselves if it is S.
    """
    if pixels.shape[-1] == size:
        return pixels
    resized = F.interpolate(pixels.float(), size=(size, size), mode="bilinear", antialias=True)
    return resized.round_().to(torch.uint8)


def center_crop(pixels: Tensor, size: int) -> Tensor:
    """Return the middle of images, ``[..., size, size]``, a view where no padding is needed.

    Args:
        pixels: ``[..., H, W]`` of any dtype; padded with zeros where they are smaller than `size`.
        size: At least 1.

    Raises:
        ParameterError: `size` is out of range.
    """
    if size < 1:
        raise ParameterError("size", size, "an integer of at least 1")
    down, across = (max(0, size - side) for side in pixels.shape[-2:])
    if down or across:
        pixels = F.pad(pixels, (across // 2, (across + 1) // 2, down // 2, (down + 1) // 2))
    top, left = (round((side - size) / 2) for side in pixels.shape[-2:])
    return pixels[..., top : top + size, left : left + size]


def _steps(size: int, backwards: Tensor) -> Tensor:
    """Return int64 ``[B, size]``: 0, 1, ..., or from the end where `backwards`."""
    steps = torch.arange(size, device=backwards.device)
    return torch.where(backwards[:, None], size - 1 - steps, steps)


def _reflected(positions: Tensor, side: int) -> Tensor:
    """Return which of `side` pixels stands at a position of less than `side` outside of them."""
    return side - 1 - (side - 1 - positions.abs()).abs()


def _weights(start: Tensor, length: Tensor, backwards: Tensor, *, side: int, size: int) -> Tensor:
    """Return float32 ``[B, size, side]``: how much each pixel of a line counts in each output.

    A triangle around the middle of the output, as wide as an output of a region that shrinks, never narrower than two
    pixels; pixels outside the region do not count.
    """
    scale = (length / size)[:, None]
    middles = scale * (_steps(size, backwards) + 0.5)
    pixels = torch.arange(side, device=start.device) - start[:, None]
    distances = ((pixels + 0.5)[:, None, :] - middles[:, :, None]).abs_()
    weights = distances.div_(-scale.clamp(min=1)[:, :, None]).add_(1).clamp_(min=0)
    weights.mul_(((pixels >= 0) & (pixels < length[:, None]))[:, None, :])
    return weights.div_(weights.sum(2, keepdim=True))


def check_scale(name: str, value: Any) -> tuple[float, float]:
    """Return `value` as floats; raise ParameterError unless it is a pair of shares, the lower bound first."""
    return _check_bounds(name, value, 1.0, "above 0 and at most 1")


def check_ratio(name: str, value: Any) -> tuple[float, float]:
    """Return `value` as floats; raise ParameterError unless it is a pair of ratios, the lower bound first."""
    return _check_bounds(name, value, sys.float_info.max, "above 0 and finite")


def _check_bounds(name: str, value: Any, most: float, allowed: str) -> tuple[float, float]:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if (
        not is_pair
        or not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in value)
        or not 0 < value[0] <= value[1] <= most
    ):
        raise ParameterError(name, value, f"a pair of numbers {allowed}, the lower bound first")
    return float(value[0]), float(value[1])
