"""Random erasing: a rectangle of an image is wiped out.

Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, arXiv 1708.04896, as torchvision has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from augment.contract import check_probability, parameter
from augment.crops import NUM_CANDIDATES, check_ratio, check_scale
from augment.single import SingleImages


@dataclass(frozen=True, eq=False)
class ErasingDraw:
    """Which rectangle of each image is erased: int64 ``[B]`` each; one without height is none."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


@dataclass(frozen=True)
class RandomErasing(SingleImages):
    """Sets a random rectangle of normalised images to 0, which is the mean of the data set.

    Attributes:
        p: The probability that an image loses a rectangle; above 0 and at most 1.
        scale: Bounds of its area, uniform, as a share of the image.
        ratio: Bounds of height / width, whose logarithm is uniform.
    """

    is_normalized_first: ClassVar[bool] = True

    p: float = parameter(check_probability, default=0.5)
    scale: tuple[float, float] = parameter(check_scale, default=(0.02, 0.33))
    ratio: tuple[float, float] = parameter(check_ratio, default=(0.3, 3.3))

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> ErasingDraw:
        """Draw the rectangles; see `SingleImages.draw`.

        Of ten candidates the first is taken that is smaller than the image, anywhere in it; if none is, the image stays
        whole.
        """
        batch_size, _, height, width = shape
        drawn = (2 * NUM_CANDIDATES + 3, batch_size)
        uniform = torch.rand(drawn, generator=generator, dtype=torch.float64, device=generator.device)
        coin, places, shares, shapes = uniform[0], uniform[1:3], uniform[3::2], uniform[4::2]
        areas = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * shares)
        low, high = (math.log(bound) for bound in self.ratio)
        ratios = torch.exp(low + (high - low) * shapes)
        heights, widths = (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()
        fits = (heights < height) & (widths < width)
        # The index of the first maximum.
        first = fits.int().argmax(0, keepdim=True)
        is_erased = fits.any(0) & (coin < self.p)
        heights, widths = (torch.where(is_erased, each.gather(0, first)[0], 0) for each in (heights, widths))
        top = (places[0] * (height - heights + 1)).long()
        left = (places[1] * (width - widths + 1)).long()
        return ErasingDraw(top, left, heights, widths)

    def apply(self, images: Tensor, draw: ErasingDraw) -> Tensor:
        """Erase; see `SingleImages.apply`."""
        rows = torch.arange(images.shape[2], device=images.device).view(-1, 1)
        columns = torch.arange(images.shape[3], device=images.device)
        top, left, height, width = (each.view(-1, 1, 1) for each in (draw.top, draw.left, draw.height, draw.width))
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        # A mask without a dimension of channels leaves the order in memory to the images.
        return torch.where(inside, 0, images.movedim(0, 1)).movedim(1, 0)
