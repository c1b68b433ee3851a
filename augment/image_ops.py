"""The operations that TrivialAugment, RandAugment and AutoAugment choose from: another one for each image of a batch.

They are torchvision's (``transforms.v2.functional``, nearest neighbours, black outside), bit for bit on bytes on a CPU;
the tests compare each. They are written anew, since those take one strength for a whole tensor: the host would have to
know what was drawn for each image, and wait for the GPU to learn it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# In the order of their codes. Neighbours share an implementation.
OPERATIONS = (
    "Identity",
    *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"),
    *("Brightness", "Posterize", "Solarize", "Invert", "AutoContrast"),
    *("Color", "Contrast"),
    "Equalize",
    "Sharpness",
)
_CODE = {name: code for code, name in enumerate(OPERATIONS)}

_Change = Callable[[Tensor, Tensor, Tensor], Tensor]


def change_images(pixels: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Apply to each image its own operation.

    Args:
        pixels: uint8 ``[B, C, H, W]``, C is 1 or 3; three channels are red, green and blue.
        operations: int64 ``[B]``, places in `OPERATIONS`.
        magnitudes: float64 ``[B]``: a shear as a tangent; a translation in pixels, the fraction cut off; degrees
            counter-clockwise; brightness, colour, contrast and sharpness as a change of the factor, so that 0 leaves
            the image; the bits that remain; the share of 255 from which on pixels are inverted.

    Returns:
        uint8 ``[B, C, H, W]``, contiguous.
    """
    changed = pixels.clone(memory_format=torch.contiguous_format)
    families: tuple[tuple[str, str, _Change], ...] = (
        ("ShearX", "Rotate", _warp),
        ("Brightness", "AutoContrast", _look_up),
        ("Color", "Contrast", _blend_with_grey),
        ("Equalize", "Equalize", _equalize),
        ("Sharpness", "Sharpness", _sharpen),
    )
    for first, last, change in families:
        chosen = (operations >= _CODE[first]) & (operations <= _CODE[last])
        if _host_knows(chosen):
            rows = chosen.nonzero().squeeze(1)
            changed[rows] = change(changed[rows], operations[rows], magnitudes[rows])
        else:
            # All images pay for each family: what a GPU does in less time than the host would take to ask.
            changed = torch.where(_per_image(chosen), change(changed, operations, magnitudes), changed)
    return changed


def _host_knows(chosen: Tensor) -> bool:
    """Whether the host can read a tensor without waiting, or compiling the step anew for each number of images."""
    return chosen.device.type == "cpu" and not torch.compiler.is_compiling()


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _is(operations: Tensor, name: str) -> Tensor:
    return operations == _CODE[name]


def _warp(pixels: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Shear about the upper left corner, translate, or rotate about the middle: take the nearest pixel, or black."""
    num_channels, height, width = pixels.shape[1:]
    across = _middles(width, pixels.device).view(1, 1, -1)
    down = _middles(height, pixels.device).view(1, -1, 1)
    of_column, of_row = _inverse_maps(operations, magnitudes, height, width)
    # Rounded in float32 where torchvision rounds, so that the nearest of two pixels is the same one.
    columns = _nearest(across * of_column[0] + down * of_column[1] + of_column[2], width)
    rows = _nearest(across * of_row[0] + down * of_row[1] + of_row[2], height)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    places = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
    taken = pixels.flatten(2).gather(2, places.unsqueeze(1).expand(-1, num_channels, -1))
    return taken.view(pixels.shape).mul_(inside.unsqueeze(1))


def _middles(side: int, device: torch.device) -> Tensor:
    """Return where the pixels of a side are, seen from its middle, float32 ``[side]``."""
    return torch.linspace((1.0 - side) * 0.5, (side - 1.0) * 0.5, side, device=device)


def _inverse_maps(
    operations: Tensor, magnitudes: Tensor, height: int, width: int
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return what a pixel's column and row are multiplied with, and what is added: where it comes from.

    float32 ``[B, 1, 1]`` each, in halves of the side.
    """

    def strength(name: str) -> Tensor:
        return torch.where(_is(operations, name), magnitudes, 0.0)

    shear_x, shear_y = strength("ShearX"), strength("ShearY")
    angle = strength("Rotate").deg2rad()
    cosine, sine = angle.cos(), angle.sin()
    column = (cosine, shear_x - sine, shear_x * (height / 2) - strength("TranslateX").trunc())
    row = (shear_y + sine, cosine, shear_y * (width / 2) - strength("TranslateY").trunc())

    def in_halves(values: tuple[Tensor, Tensor, Tensor], side: int) -> tuple[Tensor, Tensor, Tensor]:
        first, second, third = (value.float().div_(0.5 * side).view(-1, 1, 1) for value in values)
        return first, second, third

    return in_halves(column, width), in_halves(row, height)


def _nearest(halves: Tensor, side: int) -> Tensor:
    """Return the number of the pixel at a place in halves of the side, seen from its middle."""
    return halves.add_(1).mul_(side).sub_(1).div_(2).round_().long()


def _look_up(pixels: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Change brightness, posterize, solarize, invert, or stretch the contrast: what becomes of each of 256 values."""
    values = torch.arange(256, dtype=torch.float32, device=pixels.device)
    flat = pixels.flatten(2)
    least, most = (each.float().unsqueeze(2) for each in (flat.amin(2), flat.amax(2)))
    is_flat = least == most
    # A channel of one value stays.
    floor, scale = torch.where(is_flat, 0, least), torch.where(is_flat, 1, (most - least) * (1 / 255))
    strengths = magnitudes.view(-1, 1, 1)
    bits = strengths.long().clamp(0, 8)
    tables = {
        "Brightness": (values * (1 + strengths).float()).clamp_(0, 255),
        "Posterize": values.long().bitwise_right_shift(8 - bits).bitwise_left_shift(8 - bits),
        "Solarize": torch.where(values >= (255 * strengths).float(), 255 - values, values),
        "Invert": 255 - values,
        "AutoContrast": ((values - floor) / scale).clamp_(0, 255),
    }
    table = values.to(torch.uint8).expand(*pixels.shape[:2], 256)
    for name, of_all in tables.items():
        table = torch.where(_is(operations, name).view(-1, 1, 1), of_all.to(torch.uint8), table)
    return table.gather(2, flat.long()).view(pixels.shape)


def _blend_with_grey(pixels: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Move colours away from the grey image, or towards it; or all from its mean."""
    if pixels.shape[1] == 3:
        red, green, blue = pixels.unsqueeze(2).unbind(1)
        # Luma of ITU-R BT.601 with torchvision's digits.
        grey = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_()
    else:
        grey = pixels.float()
    other = torch.where(_per_image(_is(operations, "Contrast")), grey.mean((1, 2, 3), keepdim=True), grey)
    factors = _per_image(1 + magnitudes)
    # One rounding for product and sum, as in torchvision's `add` with alpha.
    blended = torch.addcmul(pixels.mul(factors.float()), (1 - factors).float(), other)
    if pixels.shape[1] == 1:
        # An image without colours keeps those it has.
        return torch.where(_per_image(_is(operations, "Color")), pixels, blended.clamp_(0, 255).to(torch.uint8))
    return blended.clamp_(0, 255).to(torch.uint8)


def _equalize(pixels: Tensor, *_: Tensor) -> Tensor:
    """Spread the values of each channel evenly, as Pillow does."""
    flat = pixels.flatten(2).long()
    counts = torch.zeros((*pixels.shape[:2], 256), dtype=torch.int64, device=pixels.device)
    counts.scatter_add_(2, flat, torch.ones((), dtype=torch.int64, device=pixels.device).expand_as(flat))
    up_to = counts.cumsum(2)
    # The largest value is that at which all have been counted first.
    of_largest = counts.gather(2, up_to.argmax(2, keepdim=True))
    step = (flat.shape[2] - of_largest).div(255, rounding_mode="floor")
    below = up_to - counts + step // 2
    table = below.div(step.clamp(min=1), rounding_mode="floor").clamp_(0, 255)
    equal = table.gather(2, flat).view(pixels.shape).to(torch.uint8)
    return torch.where((step > 0).unsqueeze(3), equal, pixels)


def _sharpen(pixels: Tensor, _: Tensor, magnitudes: Tensor) -> Tensor:
    """Move each pixel away from the mean of its neighbours, or towards it; those at the edge stay."""
    if min(pixels.shape[2:]) <= 2:
        return pixels
    images = pixels.float()
    inner = images[..., 1:-1, 1:-1]
    # Eight neighbours count once and the pixel five times: sums of whole numbers, exact in float32.
    smooth = F.avg_pool2d(images, 3, stride=1, divisor_override=1).add_(inner, alpha=4).div_(13).round_()
    inner.copy_(torch.addcmul(inner, _per_image(-magnitudes.float()), smooth - inner))
    return images.clamp_(0, 255).to(torch.uint8)
