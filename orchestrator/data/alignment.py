"""How far two pictures are apart once one is stretched and shifted onto the other.

What is compared is each pixel's difference from its neighbourhood, in units of how much that varies: brightness,
contrast and colours count for nothing, and pictures that share a vignette, a ruler or the outline of a lesion differ.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# Half of the picture is -1 to 1: a shift by 0.35 is one by 18 % of its side, a stretch by 0.35 crops off a quarter.
_MAX_MOTION = 0.35
_MAX_STEP = 0.2
_COARSE_STEPS = 4
_FINE_STEPS = 3
_MIN_COARSE_CORRELATION = 0.7
"""Before the fine steps; of 172 pairs of CIFAR-10 that are the same picture, 98 % have 0.82 and more."""
# The local contrast of photographs varies by 0.1 and more, that of a smooth gradient by 0.014.
_SOFTENING = 1.0
_MIN_DETAIL = 0.05
_BORDER = 3
"""Pixels along the edge of what both pictures show whose neighbourhoods one of them lacks."""
_MIN_OVERLAP = 0.2


def aligned_distances(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [k] in [0, 2]: of each pair of grey uint8 [k, S, S]; 1 where one has no detail to compare."""
    fixed, moving = (torch.from_numpy(pictures.astype(np.float32)) for pictures in (left, right))
    motion, correlation = _coarse_motion(fixed, moving)
    found = torch.ones(len(fixed))
    alike = torch.nonzero(correlation >= _MIN_COARSE_CORRELATION)[:, 0]
    if len(alike):
        fixed, moving = fixed[alike], moving[alike]
        motion = _fitted(_blurred(fixed, 3), _blurred(moving, 3), motion[alike], _FINE_STEPS)
        found[alike] = _remaining(fixed, *_moved(moving, motion))
    return found.numpy()


def _coarse_motion(fixed: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """The motion that fits halved pictures, and the correlation of these; at a quarter of the cost."""
    target, source = (functional.avg_pool2d(pictures[:, None], 2)[:, 0] for pictures in (fixed, moving))
    motion = _fitted(target, source, torch.zeros(len(fixed), 4), _COARSE_STEPS)
    moved, inside = _moved(source, motion)
    return motion, _correlation(target, moved, inside.float(), least=1.0)


def _fitted(target: Tensor, source: Tensor, motion: Tensor, steps: int) -> Tensor:
    """Stretches and shifts one picture along each axis to fit another, by Gauss-Newton on the squared difference.

    Args:
        target: float32 [k, S, S].
        source: float32 [k, S, S].
        motion: float32 [k, 4], to begin with: stretch and shift along x, and along y.
        steps: How many are taken.
    """
    side = target.shape[-1]
    place = _places(side)
    for _ in range(steps):
        moved, inside = _moved(source, motion)
        weights = inside.flatten(1) + 1e-3
        weights = weights / weights.sum(1, keepdim=True)
        along_y, along_x = torch.gradient(moved, spacing=2 / side, dim=(1, 2))
        contrast, wanted = (_centred(pictures.flatten(1), weights) for pictures in (moved, target))
        slopes = torch.stack([along_x * place, along_x, along_y * place[:, None], along_y], dim=-1).flatten(1, 2)
        design = torch.cat([slopes, contrast[..., None], torch.ones_like(contrast)[..., None]], dim=-1)
        weighted = (design * weights[..., None]).mT
        normal = weighted @ design
        damped = normal + torch.diag_embed(1e-3 * normal.diagonal(dim1=1, dim2=2) + 1e-6)
        solution = torch.linalg.solve(damped, weighted @ wanted[..., None])[..., 0]
        # The slopes are those of `moved`, so what they are multiplied by contains the change of contrast.
        step = (solution[:, :4] / solution[:, 4:5].clamp(min=0.2)).clamp(-_MAX_STEP, _MAX_STEP)
        motion = (motion + step).clamp(-_MAX_MOTION, _MAX_MOTION)
    return motion


def _moved(pictures: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """The pictures, resampled; and bool [k, S, S], where that lies inside them."""
    side = pictures.shape[-1]
    place = _places(side)
    x = (1 + motion[:, 0:1]) * place + motion[:, 1:2]
    y = (1 + motion[:, 2:3]) * place + motion[:, 3:4]
    grid = torch.stack([x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=-1)
    sampled = functional.grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)
    return sampled[:, 0], (grid.abs() <= 1).all(-1)


def _remaining(fixed: Tensor, moved: Tensor, inside: Tensor) -> Tensor:
    """float32 [k]: 1 - the correlation of the local contrasts, where both pictures have them."""
    outside = functional.pad(1 - inside[:, None].float(), (_BORDER,) * 4, value=1.0)
    weights = 1 - functional.max_pool2d(outside, 2 * _BORDER + 1, stride=1)[:, 0]
    correlation = _correlation(_local_contrast(fixed), _local_contrast(moved), weights, least=_MIN_DETAIL)
    return 1 - torch.where(weights.mean((1, 2)) >= _MIN_OVERLAP, correlation, 0.0)


def _local_contrast(pictures: Tensor) -> Tensor:
    """What each pixel differs from its neighbourhood by, in units of how much that varies; _SOFTENING for noise."""
    smooth = _blurred(pictures, 3)  # what survives encoding
    detail = smooth - _blurred(smooth, 5)
    return detail / (_blurred(detail.square(), 5) + _SOFTENING**2).sqrt()


def _correlation(one: Tensor, other: Tensor, weights: Tensor, *, least: float) -> Tensor:
    """float32 [k]: over the pixels of each pair; 0 where one varies by less than ``least``."""
    flat = weights.flatten(1) / weights.sum((1, 2)).clamp(min=1)[:, None]
    one, other = (_centred(pictures.flatten(1), flat) for pictures in (one, other))
    covariance, variance, other_variance = (
        (flat * a * b).sum(1) for a, b in ((one, other), (one, one), (other, other))
    )
    correlation = covariance / (variance * other_variance).sqrt().clamp(min=1e-9)
    return torch.where(torch.minimum(variance, other_variance) >= least, correlation, 0.0)


def _centred(values: Tensor, weights: Tensor) -> Tensor:
    return values - (values * weights).sum(1, keepdim=True)


def _blurred(pictures: Tensor, side: int) -> Tensor:
    padded = functional.pad(pictures[:, None], (side // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, side, stride=1)[:, 0]


def _places(side: int) -> Tensor:
    return torch.linspace(-1 + 1 / side, 1 - 1 / side, side)
