"""What ζ-mixup draws: the p-series weights, and which samples they mix.

Source: Abhishek, Brown, Hamarneh, "Multi-Sample ζ-mixup: Richer, More Realistic Synthetic Samples from a p-Series
Interpolant", J. Big Data 11:43 (2024), arXiv 2204.03323. Its T is ``num_mixed`` here, its mini-batch m the batch size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def p_series_weights(
    num_mixed: int,
    gamma: float,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Return the weights w_i = i^-γ / Σ_{j=1..N} j^-γ.

    Args:
        num_mixed: N, the number of samples mixed; at least 1.
        gamma: γ, finite and ≥ 0; 0 gives equal weights. From γ = 1.72865 on, where ζ(γ) = 2, the first weight exceeds
            the sum of all others for every N.
        dtype: Of the result; the series is summed in float64 and rounded once.
        device: Of the result, computed there: the host neither sends nor waits for anything.

    Returns:
        ``[num_mixed]`` in [0, 1], not increasing, summing to 1.

    Raises:
        ValueError: `num_mixed` or `gamma` is out of range.
    """
    if num_mixed < 1:
        raise ValueError(f"num_mixed={num_mixed} is not allowed: an integer of at least 1 is.")
    if not (math.isfinite(gamma) and gamma >= 0):
        raise ValueError(f"gamma={gamma} is not allowed: a finite number of at least 0 is.")
    terms = torch.arange(1, num_mixed + 1, dtype=torch.float64, device=device).pow(-gamma)
    return (terms / terms.sum()).to(dtype)


def sample_indices(batch_size: int, num_mixed: int, *, generator: torch.Generator) -> Tensor:
    """Draw which samples each output mixes, the heaviest first.

    Sample i leads output i; the other N-1 are drawn without replacement from the rest of the batch, every ordered
    choice equally likely. With N = batch size this is the distribution of the authors' code
    (github.com/kakumarabhishek/zeta-mixup).

    Args:
        batch_size: B, the samples of this worker's batch.
        num_mixed: N, from 1 to `batch_size`.
        generator: The only source of randomness; its device is the result's.

    Returns:
        int64 ``[batch_size, num_mixed]``, column 0 is 0..B-1, each row without repetition.

    Raises:
        ValueError: `num_mixed` is not in 1..`batch_size`.
    """
    if num_mixed < 1:
        raise ValueError(f"num_mixed={num_mixed} is not allowed: an integer of at least 1 is.")
    if num_mixed > batch_size:
        raise ValueError(
            f"num_mixed={num_mixed} exceeds the batch of {batch_size}: mixing stays inside one worker's batch. "
            "Lower num_mixed or raise batch_size_per_worker."
        )
    keys = torch.rand((batch_size, batch_size), generator=generator, device=generator.device)
    # Keys lie in [0, 1), so -1 is the smallest of its row: the diagonal comes first, every sample leads exactly once.
    keys.fill_diagonal_(-1.0)
    return keys.topk(num_mixed, dim=1, largest=False, sorted=True).indices


def mixing_matrix(indices: Tensor, weights: Tensor, batch_size: int) -> Tensor:
    """Write indices and weights as the matrix W whose product with the batch is the mixed batch.

    Args:
        indices: int64 ``[B, N]``, values in 0..`batch_size`-1; an index that a row repeats gets the sum of its weights.
        weights: ``[N]`` floating, on the device of `indices`.
        batch_size: The number of samples to mix from, the columns of W.

    Returns:
        ``[B, batch_size]``, dtype of `weights`; row i holds the weights of output i. Rows sum to 1, columns need not.
    """
    matrix = weights.new_zeros((indices.shape[0], batch_size))
    return matrix.scatter_add_(1, indices, weights.expand(indices.shape))
