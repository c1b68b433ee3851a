"""TrivialAugment, RandAugment and AutoAugment: which operation each image gets, and how much of it.

Ranges, probabilities and policies are those of torchvision's ``v2.TrivialAugmentWide``, ``v2.RandAugment`` and
``v2.AutoAugment``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from augment.contract import parameter
from augment.errors import ParameterError
from augment.image_ops import OPERATIONS, change_images
from augment.policy_tables import POLICIES
from augment.single import SingleImages

_NUM_BINS = 31
# Of AutoAugment.
_NUM_POLICY_BINS = 10
# With what they are drawn, half of them the other way round.
_SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
_WITHOUT_MAGNITUDE = ("Identity", "AutoContrast", "Equalize", "Invert")
# In torchvision's order, which the draws of all that choose evenly follow.
_CHOICES = ("Identity", *_SIGNED, "Posterize", "Solarize", "AutoContrast", "Equalize")

_Ranges = Literal["wide", "usual"]


@dataclass(frozen=True, eq=False)
class OperationsDraw:
    """What is done to each image, one step after the other.

    Attributes:
        operations: int64 ``[S, B]``, places in `augment.image_ops.OPERATIONS`.
        magnitudes: float64 ``[S, B]``; see `augment.image_ops.change_images`.
    """

    operations: Tensor
    magnitudes: Tensor


@dataclass(frozen=True)
class Operations(SingleImages):
    """Changes each image by one operation after another, drawn for each image on its own."""

    @abstractmethod
    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> OperationsDraw:
        """Draw the operations; see `SingleImages.draw`."""

    def apply(self, images: Tensor, draw: OperationsDraw) -> Tensor:
        """Apply one step after the other; see `SingleImages.apply`."""
        for operations, magnitudes in zip(draw.operations, draw.magnitudes, strict=True):
            images = change_images(images, operations, magnitudes)
        return images


@dataclass(frozen=True)
class TrivialAugment(Operations):
    """One operation for each image, evenly chosen, as strong as a second draw says.

    Source: Müller, Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021, arXiv
    2103.10158, with its wide ranges.
    """

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> OperationsDraw:
        """Draw the operations; see `SingleImages.draw`."""
        _check_channels("trivial_augment", shape)
        each, device = (1, shape[0]), generator.device
        choices = torch.randint(len(_CHOICES), each, generator=generator, device=device)
        bins = torch.randint(_NUM_BINS, each, generator=generator, device=device)
        return _operations("wide", _NUM_BINS, shape, choices, bins, generator)


def _check_num_ops(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ParameterError(name, value, "an integer of at least 1")
    return value


def _check_magnitude(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUM_BINS:
        raise ParameterError(name, value, f"an integer from 0 to {_NUM_BINS - 1}")
    return value


@dataclass(frozen=True)
class RandAugment(Operations):
    """Operations for each image, evenly chosen, all of one strength.

    Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2019, arXiv
    1909.13719.

    Attributes:
        num_ops: How many operations, one after the other.
        magnitude: How strong they are; 30 is the strongest.
    """

    num_ops: int = parameter(_check_num_ops, default=2)
    magnitude: int = parameter(_check_magnitude, default=9)

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> OperationsDraw:
        """Draw the operations; see `SingleImages.draw`."""
        _check_channels("rand_augment", shape)
        each = (self.num_ops, shape[0])
        choices = torch.randint(len(_CHOICES), each, generator=generator, device=generator.device)
        bins = torch.full(each, self.magnitude, device=generator.device)
        return _operations("usual", _NUM_BINS, shape, choices, bins, generator)


def _check_policy(name: str, value: Any) -> str:
    if value not in POLICIES:
        raise ParameterError(name, value, " or ".join([", ".join([*POLICIES][:-1]), [*POLICIES][-1]]))
    return str(value)


@dataclass(frozen=True)
class AutoAugment(Operations):
    """One of 25 pairs of operations for each image, which were searched for on a data set.

    Source: Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data", CVPR 2019, arXiv 1805.09501.

    Attributes:
        policy: The data set that they were searched for on.
    """

    policy: str = parameter(_check_policy, default="imagenet")

    def draw(self, shape: Sequence[int], *, generator: torch.Generator) -> OperationsDraw:
        """Draw a pair for each image, and which of the two are done; see `SingleImages.draw`."""
        _check_channels("auto_augment", shape)
        device = generator.device
        choices, bins, probabilities = _policy(self.policy, device)
        pairs = torch.randint(choices.shape[1], (shape[0],), generator=generator, device=device)
        is_done = torch.rand((2, shape[0]), generator=generator, device=device) <= probabilities[:, pairs]
        drawn = _operations("usual", _NUM_POLICY_BINS, shape, choices[:, pairs], bins[:, pairs], generator)
        return OperationsDraw(torch.where(is_done, drawn.operations, 0), drawn.magnitudes)


def _check_channels(name: str, shape: Sequence[int]) -> None:
    if shape[1] not in (1, 3):
        raise ValueError(f"combine={name} is not allowed for images of {shape[1]} channels: 1 or 3 are.")


def _operations(
    ranges: _Ranges, num_bins: int, shape: Sequence[int], choices: Tensor, bins: Tensor, generator: torch.Generator
) -> OperationsDraw:
    """Return the draw of which `choices` and `bins` are known, int64 ``[S, B]``: what has a sign is turned or not."""
    codes, magnitudes, is_signed = _table(ranges, num_bins, shape[2], shape[3], generator.device)
    is_turned = torch.rand(choices.shape, generator=generator, device=generator.device) <= 0.5
    drawn = magnitudes[choices, bins]
    return OperationsDraw(codes[choices], torch.where(is_turned & is_signed[choices], -drawn, drawn))


@lru_cache(maxsize=64)
def _table(
    ranges: _Ranges, num_bins: int, height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the code of each choice, its magnitudes by bin, and whether they have a sign.

    Made once and kept: to bring a table to a GPU makes the host wait for it.
    """
    names = (*_CHOICES, "Invert")
    codes = [OPERATIONS.index(name) for name in names]
    rows = [_magnitudes(name, ranges, num_bins, height, width) for name in names]
    signed = [name in _SIGNED for name in names]
    return (
        torch.tensor(codes, device=device),
        torch.stack(rows).to(torch.float64).to(device),
        torch.tensor(signed, device=device),
    )


def _magnitudes(name: str, ranges: _Ranges, num_bins: int, height: int, width: int) -> Tensor:
    """Return the magnitudes of an operation, float32 ``[num_bins]``, weakest first."""
    if name in _WITHOUT_MAGNITUDE:
        return torch.zeros(num_bins)
    if name == "Posterize":
        least = 2 if ranges == "wide" else 4
        return (8 - torch.arange(num_bins) / ((num_bins - 1) / (8 - least))).round()
    if name == "Solarize":
        return torch.linspace(1.0, 0.0, num_bins)
    most: Mapping[str, float] = {
        "ShearX": 0.99,
        "ShearY": 0.99,
        "TranslateX": 32.0,
        "TranslateY": 32.0,
        "Rotate": 135.0,
    }
    if ranges == "usual":
        sides = {"TranslateX": 150.0 / 331.0 * width, "TranslateY": 150.0 / 331.0 * height}
        most = {"ShearX": 0.3, "ShearY": 0.3, "Rotate": 30.0, **sides}
    return torch.linspace(0.0, most.get(name, 0.99 if ranges == "wide" else 0.9), num_bins)


@lru_cache(maxsize=16)
def _policy(policy: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return choices, bins and probabilities, ``[2, 25]``: of the first of each pair, and of the second."""
    names = (*_CHOICES, "Invert")
    pairs = [[step.split() for step in line.split(", ")] for line in POLICIES[policy].strip().splitlines()]
    steps = list(zip(*pairs, strict=True))
    choices = [[names.index(step[0]) for step in of_all] for of_all in steps]
    bins = [[int(step[2]) if len(step) > 2 else 0 for step in of_all] for of_all in steps]
    probabilities = [[float(step[1]) for step in of_all] for of_all in steps]
    return (
        torch.tensor(choices, device=device),
        torch.tensor(bins, device=device),
        torch.tensor(probabilities, device=device),
    )
