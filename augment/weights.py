"""What augmentations draw: weights (p-series, Beta, Dirichlet), and the samples that get them.

Source: Abhishek, Brown, Hamarneh, "Multi-Sample ζ-mixup: Richer, More Realistic Synthetic Samples from a p-Series
Interpolant", J. Big Data 11:43 (2024), arXiv 2204.03323. Its T is ``num_mixed`` here, its mini-batch m the batch size.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from augment.errors import ParameterError


def p_series_weights(
    num_mixed: int,
    gamma: float | Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Return the weights w_i = i^-γ / Σ_{j=1..N} j^-γ.

    Args:
        num_mixed: N, the number of samples mixed; at least 1.
        gamma: γ, finite and ≥ 0; 0 gives equal weights. From `gamma_min` on the first weight is at least the sum of
            all others. A scalar tensor on `device` is not checked, since that would wait for it.
        dtype: Of the result; the series is summed in float64 and rounded once.
        device: Of the result, computed there: the host neither sends nor waits for anything.

    Returns:
        ``[num_mixed]`` in [0, 1], not increasing, summing to 1.

    Raises:
        ParameterError: `num_mixed` or `gamma` is out of range.
    """
    if num_mixed < 1:
        raise ParameterError("num_mixed", num_mixed, "an integer of at least 1")
    if not isinstance(gamma, Tensor) and not (math.isfinite(gamma) and gamma >= 0):
        raise ParameterError("gamma", gamma, "a finite number of at least 0")
    terms = torch.arange(1, num_mixed + 1, dtype=torch.float64, device=device).pow(-gamma)
    return (terms / terms.sum()).to(dtype)


@lru_cache(maxsize=64)
def kept_p_series_weights(num_mixed: int, gamma: float, device: torch.device) -> Tensor:
    """Return `p_series_weights` in float64, the same tensor again and again: nobody changes it.

    It is made once and kept, since for one γ and N the weights of all steps are the same: on a GPU each step would
    launch six kernels for them.
    """
    # Else what is first asked for while a model is evaluated could not be used in training.
    with torch.inference_mode(False):
        return p_series_weights(num_mixed, gamma, dtype=torch.float64, device=device)


@lru_cache(maxsize=4096)
def gamma_min(num_mixed: int) -> float:
    """Return the γ at which the first of `num_mixed` p-series weights is 1/2, the sum of all others.

    It solves Σ_{j=1..N} j^-γ = 2: 0 for N = 2, rising with N towards 1.72865, where ζ(γ) = 2.
    """
    low, high = 0.0, 2.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if sum(j**-middle for j in range(1, num_mixed + 1)) > 2:
            low = middle
        else:
            high = middle
    return high if low else 0.0


def gamma_of_lam(lam: float) -> float:
    """Return the γ whose two p-series weights are `lam` and 1-`lam`: log2(lam / (1-lam)).

    Args:
        lam: The larger weight of a mixup, in [0.5, 1).

    Raises:
        ParameterError: `lam` is out of range.
    """
    if not 0.5 <= lam < 1:
        raise ParameterError("lam", lam, "a number from 0.5 to below 1")
    return math.log2(lam / (1 - lam))


def dirichlet_weights(num_mixed: int, alpha: float, *, num_rows: int, generator: torch.Generator) -> Tensor:
    """Draw rows of weights from the symmetric Dirichlet distribution; those of two samples are Beta(alpha, alpha).

    `torch.distributions` draws from the global generator only; the private function it calls takes an explicit one.

    A weight is g_i / Σ g_j for Gamma(alpha) variables. Each is made as Gamma(alpha + 1) · u^(1/alpha) and kept as a
    logarithm: drawn directly for alpha = 0.001, all of two underflow in a quarter of the draws and the weights, in
    truth next to 0 or 1, come out as 1/2.

    Args:
        num_mixed: N.
        alpha: Concentration, finite and > 0; 1 is uniform over all weights that sum to 1.
        num_rows: How many to draw.
        generator: The only source of randomness; its device is the result's.

    Returns:
        float64 ``[num_rows, num_mixed]`` in [0, 1], rows sum to 1.
    """
    shape, device = (num_rows, num_mixed), generator.device
    concentration = torch.full(shape, alpha + 1, dtype=torch.float64, device=device)
    log_gamma = torch._standard_gamma(concentration, generator=generator).log()
    # 1 - [0, 1) excludes 0, so the logarithm is finite.
    log_uniform = (1 - torch.rand(shape, generator=generator, dtype=torch.float64, device=device)).log()
    # Differences of the large terms first: for a tiny alpha they are all that counts.
    largest = log_uniform.amax(1, keepdim=True)
    return torch.softmax(log_gamma + (log_uniform - largest) / alpha, dim=1)


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
        raise ParameterError("num_mixed", num_mixed, "an integer of at least 1")
    if num_mixed > batch_size:
        raise ValueError(
            f"num_mixed={num_mixed} exceeds the batch of {batch_size}: mixing stays inside one worker's batch. "
            "Lower num_mixed or raise batch_size_per_worker."
        )
    keys = torch.rand((batch_size, batch_size), generator=generator, device=generator.device)
    # Keys lie in [0, 1), so -1 is the smallest of its row: the diagonal comes first, every sample leads exactly once.
    keys.fill_diagonal_(-1.0)
    if keys.device.type == "cpu":
        # NumPy sorts rows with SIMD instructions: 0.07 ms for a batch of 128, where `topk` takes 0.2 and `sort` 0.5.
        return torch.from_numpy(keys.numpy().argsort(axis=1))[:, :num_mixed].contiguous()
    return keys.topk(num_mixed, dim=1, largest=False, sorted=True).indices


def mixing_matrix(indices: Tensor, weights: Tensor, batch_size: int) -> Tensor:
    """Write indices and weights as the matrix W whose product with the batch is the mixed batch.

    Args:
        indices: int64 ``[B, N]``, values in 0..`batch_size`-1; an index that a row repeats gets the sum of its weights.
        weights: ``[N]``, the same for all rows, or ``[B, N]``; floating, on the device of `indices`.
        batch_size: The number of samples to mix from, the columns of W.

    Returns:
        ``[B, batch_size]``, dtype of `weights`; row i holds the weights of output i. Rows sum to 1, columns need not.
    """
    matrix = weights.new_zeros((indices.shape[0], batch_size))
    return matrix.scatter_add_(1, indices, weights.expand(indices.shape))
