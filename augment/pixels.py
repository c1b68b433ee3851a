"""From raw pixels to what a model takes: a window cut out of the padded image, mirrored or not, and normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Window:
    """Which part of each image is taken, and which way round.

    Attributes:
        padding: Zero pixels added on each side of every image.
        top: int64 ``[B]`` in 0..2·`padding`: the first row of the window in the padded image.
        left: int64 ``[B]`` in 0..2·`padding`: the same for the columns.
        mirrored: bool ``[B]``: whether the columns of the window are taken from right to left.
    """

    padding: int
    top: Tensor
    left: Tensor
    mirrored: Tensor


def draw_window(batch_size: int, *, crop_padding: int, hflip: bool, generator: torch.Generator) -> Window | None:
    """Draw a random crop and a random horizontal flip for each image of a batch.

    Args:
        batch_size: B.
        crop_padding: Pixels added on each side, of which the window of the original size is then cut out.
        hflip: Whether each image is mirrored with probability 1/2.
        generator: The only source of randomness; the window is on its device.

    Returns:
        None, and nothing drawn, if the images are to stay as they are.
    """
    if crop_padding == 0 and not hflip:
        return None
    device = generator.device
    offsets = torch.randint(0, 2 * crop_padding + 1, (2, batch_size), generator=generator, device=device)
    mirrored = torch.rand(batch_size, generator=generator, device=device) < (0.5 if hflip else 0.0)
    # Memory of its own, aligned for whatever reads it: of an odd batch the second half of one tensor is not.
    return Window(padding=crop_padding, top=offsets[1].clone(), left=offsets[0], mirrored=mirrored)


def cut(images: Tensor, window: Window | None) -> Tensor:
    """Cut the window out of each image, in one gather.

    Args:
        images: ``[B, C, H, W]`` of any dtype.
        window: On the device of `images`; None leaves them as they are.

    Returns:
        ``[B, C, H, W]``, dtype of `images`; `images` itself without a window.
    """
    if window is None:
        return images
    batch_size, _, height, width = images.shape
    columns = torch.arange(width, device=images.device)
    columns = torch.where(window.mirrored[:, None], width - 1 - columns, columns) + window.left[:, None]
    rows = torch.arange(height, device=images.device) + window.top[:, None]
    padded = F.pad(images, (window.padding,) * 4)
    samples = torch.arange(batch_size, device=images.device)[:, None, None]
    return padded[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Normalization:
    """Turns pixels into numbers with the given mean and standard deviation per channel.

    Attributes:
        scale: float32 ``[C]``, ``1 / (255 · std)``.
        shift: float32 ``[C]``, ``mean / std``; a pixel becomes ``pixel · scale - shift``.

    Args:
        mean: Of the pixels in [0, 1], one per channel.
        std: Likewise.
        device: Where it is used.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, device: torch.device) -> None:
        self.scale = (255.0 * torch.tensor(std, device=device)).reciprocal()
        self.shift = torch.tensor(mean, device=device) / torch.tensor(std, device=device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return ``(pixels / 255 - mean) / std``, float32 ``[B, C, H, W]``, channels_last; `pixels` of any dtype."""
        normalized = pixels.to(torch.float32, copy=True).mul_(self.scale.view(-1, 1, 1)).sub_(self.shift.view(-1, 1, 1))
        return normalized.contiguous(memory_format=torch.channels_last)

    def inverse(self, images: Tensor) -> Tensor:
        """Return the pixels in 0..255 that `images` show, uint8, rounded."""
        pixels = (images.float() + self.shift.view(-1, 1, 1)) / self.scale.view(-1, 1, 1)
        return pixels.round_().clamp_(0, 255).to(torch.uint8)
