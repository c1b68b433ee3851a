"""ζ-mixup in float64, written as its equations are: slow, and the definition every faster path is judged by.

Source: arXiv 2204.03323 and, for `authors_matrix`, the method of github.com/kakumarabhishek/zeta-mixup at dab71b9.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from augment.pixels import Window


def p_series_weights(num_mixed: int, gamma: float) -> list[float]:
    """Return w_i = i^-γ / C with C = Σ_{j=1..N} j^-γ for i = 1..N."""
    normalizer = sum(j**-gamma for j in range(1, num_mixed + 1))
    return [i**-gamma / normalizer for i in range(1, num_mixed + 1)]


def mix(values: Tensor, indices: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    """Return x̂_i = Σ_{r=1..N} w_r x_{indices[i, r]}: the same sum for images (x) and for one-hot labels (y).

    Args:
        values: ``[B, ...]``, any real dtype.
        indices: int64 ``[B, N]``; column r holds the sample that gets the r-th weight.
        weights: N weights, or ``[B, N]``: those of each output.

    Returns:
        float64 ``[B, ...]``.
    """
    samples = values.double()
    mixed = torch.zeros_like(samples)
    shares = torch.as_tensor(weights, dtype=torch.float64).expand(indices.shape).tolist()
    for output, row in enumerate(indices.tolist()):
        for weight, sample in zip(shares[output], row, strict=True):
            mixed[output].add_(samples[sample], alpha=weight)
    return mixed


def mix_pixels(
    pixels: Tensor,
    indices: Tensor,
    weights: Sequence[float] | Tensor,
    *,
    window: Window | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Pad, crop, mirror and normalise each sample, one by one, and mix them.

    Args:
        pixels: uint8 ``[B, C, H, W]``.
        indices: int64 ``[B, N]``.
        weights: N weights, or ``[B, N]``.
        window: What to cut out of each sample.
        mean: Of the pixels in [0, 1], one per channel.
        std: Likewise.

    Returns:
        float64 ``[B, C, H, W]``.
    """
    height, width = pixels.shape[-2:]
    samples = pixels.double()
    if window is not None:
        padded = F.pad(samples, (window.padding,) * 4)
        for sample, (top, left, mirrored) in enumerate(
            zip(window.top.tolist(), window.left.tolist(), window.mirrored.tolist(), strict=True)
        ):
            image = padded[sample, :, top : top + height, left : left + width]
            samples[sample] = image.flip(-1) if mirrored else image
    columns = [torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (mean, std)]
    return mix((samples / 255 - columns[0]) / columns[1], indices, weights)


def authors_matrix(batch_size: int, gamma: float, *, generator: torch.Generator) -> Tensor:
    """Draw a weight matrix as the authors do (N = batch size).

    Each row is a uniformly random order of the ranks 1..m, rotated until rank 1 stands on the diagonal, then turned
    into weights. Theirs rotates through an FFT and divides row i by the sum of row j; the rotation is the same and all
    sums are equal.

    Returns:
        float64 ``[m, m]``, rows sum to 1.
    """
    weights = torch.tensor(p_series_weights(batch_size, gamma), dtype=torch.float64)
    rows = []
    for row in range(batch_size):
        ranks = torch.randperm(batch_size, generator=generator).tolist()
        shift = ranks.index(0) - row
        rows.append(weights[[ranks[(column + shift) % batch_size] for column in range(batch_size)]])
    return torch.stack(rows)
