"""Weighted sums of the samples of a batch: the arithmetic of every augmentation that blends whole images.

On a GPU the Triton kernel of `augment.kernel` does it, elsewhere plain PyTorch.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from augment.errors import ParameterError
from augment.layout import memory_order, undo
from augment.pixels import Normalization, Window, cut
from augment.weights import mixing_matrix

Backend = Literal["auto", "torch", "triton"]
BACKENDS: tuple[Backend, ...] = ("auto", "torch", "triton")

_HAS_TRITON = find_spec("triton") is not None
# Compute capability. Triton supports no earlier one, and those have less shared memory than the dense kernel takes.
_TRITON_FROM = (8, 0)

# From here on one matrix product takes less time on a CPU than gathering the samples one by one (benchmarks/mixing.py,
# --crossover).
DENSE_FROM = 24


def backend_on(device: torch.device, backend: Backend = "auto") -> Literal["torch", "triton"]:
    """Return what mixes on `device`: Triton on a GPU that it supports, if it is installed, else PyTorch.

    Args:
        device: Where the images are.
        backend: ``auto``, or the one that is forced.

    Raises:
        ValueError: The forced one cannot run there, or there is none of that name.
    """
    check_backend_name(backend)
    if backend == "auto":
        return "triton" if device.type == "cuda" and _HAS_TRITON and _is_supported(device) else "torch"
    if backend == "triton":
        _check_triton(device)
    return backend


def _is_supported(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= _TRITON_FROM


def _check_triton(device: torch.device) -> None:
    if not _HAS_TRITON:
        raise ValueError("backend=triton cannot run: the package triton is not installed. Use backend=torch.")
    from augment import kernel

    if device.type != ("cpu" if kernel.IS_INTERPRETED else "cuda"):
        raise ValueError(
            f"backend=triton cannot run on {device}: it needs a GPU, or TRITON_INTERPRET=1 and the CPU. "
            "Use backend=auto or torch."
        )


def check_backend_name(backend: object) -> None:
    """Raise ParameterError unless there is such a backend."""
    if backend not in BACKENDS:
        raise ParameterError("backend", backend, "auto, torch or triton")


def check_backend(device: torch.device, backend: Backend) -> None:
    """Mix two pixels: Triton needs a C compiler and more that only a launch shows to be missing.

    Raises:
        ValueError: What mixes on `device` does not work there.
    """
    if backend_on(device, backend) == "torch":
        return
    try:
        mix(torch.zeros((2, 1), device=device), torch.zeros((2, 1), dtype=torch.int64, device=device),
            torch.ones(1, device=device), backend=backend)  # fmt: skip
    except Exception as error:
        raise ValueError(
            f"backend=triton cannot run on {device}: {error}. Mend that, or set resources.backend to torch."
        ) from error


def compute_dtype(images: Tensor) -> torch.dtype:
    """Return the dtype to mix `images` in: at least float32, as bfloat16 weights would no longer sum to 1.

    Raises:
        ValueError: `images` are not floating: a mixed integer would be cut off.
    """
    if not images.is_floating_point():
        raise ValueError(
            f"images of dtype {images.dtype} cannot be mixed: floating dtypes are allowed. "
            "Convert them, e.g. with images.float()."
        )
    return torch.promote_types(images.dtype, torch.float32)


def mix(images: Tensor, indices: Tensor, weights: Tensor, *, backend: Backend = "auto") -> Tensor:
    """Return x̂_i = Σ_r w_r · images[indices[i, r]].

    Deterministic, and the same inside an autocast region. Sums are taken in float32, in float64 for float64 images.

    Args:
        images: Floating ``[B, ...]``, in any memory format.
        indices: int64 ``[B, N]`` on the device of `images`, values in 0..B-1.
        weights: Floating ``[N]``, the same for all outputs, or ``[B, N]``, on the device of `images`.
        backend: ``torch`` is differentiable, ``triton`` is not.

    Returns:
        Shape and dtype of `images`; their memory format, without the gaps of a slice.

    Raises:
        ValueError: `images` are not floating, `backend` cannot run, or Triton is to differentiate.
    """
    dtype = compute_dtype(images)
    if backend_on(images.device, backend) == "triton":
        from augment import kernel

        _check_no_gradient(images, weights)
        mixed: Tensor = kernel.mix(images, indices, weights)
        return mixed
    # Mixing treats all positions of an image alike. Taken in the order of memory they are a matrix without a copy, and
    # the result keeps the format, e.g. channels_last.
    order = memory_order(images)
    in_memory = images.permute(order)
    rows = in_memory.reshape(images.shape[0], math.prod(images.shape[1:])).to(dtype)
    summed = weighted_sums(rows, indices, weights.to(dtype)).to(images.dtype)
    return summed.view(in_memory.shape).permute(undo(order))


def mix_pixels(
    pixels: Tensor,
    indices: Tensor,
    weights: Tensor,
    *,
    window: Window | None,
    normalization: Normalization,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.channels_last,
    backend: Backend = "auto",
) -> Tensor:
    """Crop, mirror, mix, normalise and cast a batch of raw images; on a GPU in one pass over the memory.

    Args:
        pixels: uint8 ``[B, C, H, W]``, in any memory format.
        indices: int64 ``[B, N]`` on the device of `pixels`, values in 0..B-1.
        weights: Floating ``[N]`` or ``[B, N]`` on the device of `pixels`; those of an output sum to 1.
        window: Cuts each sample before it is mixed; None leaves it whole.
        normalization: On the device of `pixels`.
        dtype: Of the result: float32, bfloat16 or float16. Sums are taken in float32 and rounded once.
        memory_format: Of the result: channels_last or contiguous.
        backend: What does it.

    Returns:
        ``[B, C, H, W]``.

    Raises:
        ValueError: `pixels` are not uint8, or `backend` cannot run.
    """
    if pixels.dtype != torch.uint8 or pixels.dim() != 4:
        raise ValueError(f"pixels are {pixels.dtype} {list(pixels.shape)}: torch.uint8 [B, C, H, W] is allowed.")
    if backend_on(pixels.device, backend) == "triton":
        from augment import kernel

        mixed: Tensor = kernel.mix_pixels(
            pixels,
            indices,
            weights,
            normalization.scale,
            normalization.shift,
            window.padding if window else 0,
            window.top if window else None,
            window.left if window else None,
            window.mirrored if window else None,
            dtype,
            memory_format == torch.channels_last,
        )
        return mixed
    images = mix(normalization(cut(pixels, window)), indices, weights, backend="torch")
    return images.to(dtype, memory_format=memory_format)


def prepare_pixels(
    pixels: Tensor, *, window: Window | None, normalization: Normalization, dtype: torch.dtype, backend: Backend
) -> Tensor:
    """Crop, mirror, normalise and cast raw images without mixing them: `mix_pixels` of each sample with itself alone.

    Returns:
        ``[B, C, H, W]``, channels_last.
    """
    if backend_on(pixels.device, backend) == "torch":
        return normalization(cut(pixels, window)).to(dtype)
    itself = torch.arange(pixels.shape[0], device=pixels.device).unsqueeze(1)
    alone = torch.ones(1, device=pixels.device)
    return mix_pixels(pixels, itself, alone, window=window, normalization=normalization, dtype=dtype, backend=backend)


def mix_targets(targets: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Mix labels like `mix` mixes images.

    Targets are few: they are summed in float64 and rounded once, so that their rows sum to 1.

    Args:
        targets: float32 ``[B, K]``.
        indices: int64 ``[B, N]``.
        weights: Floating ``[N]`` or ``[B, N]``.

    Returns:
        Like `targets`.
    """
    exact, weights = targets.double(), weights.double()
    with torch.autocast(targets.device.type, enabled=False):
        if indices.shape[1] < DENSE_FROM:
            return (weights.unsqueeze(-2) @ exact[indices]).squeeze(-2).to(targets.dtype)
        return (mixing_matrix(indices, weights, targets.shape[0]) @ exact).to(targets.dtype)


def weighted_sums(rows: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_r weights[r] · rows[indices[i, r]], with PyTorch.

    On a GPU float32 is rounded to TensorFloat-32 before it is multiplied where torch is told so for products of
    matrices (``torch.backends.cuda.matmul.allow_tf32``); by default it is not.

    Args:
        rows: float32 or float64 ``[B, L]``.
        indices: int64 ``[B, N]``.
        weights: ``[N]`` or ``[B, N]``, dtype of `rows`.

    Returns:
        ``[B, L]``, dtype of `rows`.
    """
    # Autocast would round weights and pixels to bfloat16 before the product.
    with torch.autocast(rows.device.type, enabled=False):
        if rows.device.type == "cpu" and indices.shape[1] < DENSE_FROM and rows.numel() > 0:
            shares = weights.expand(indices.shape).contiguous()
            return F.embedding_bag(indices, rows, mode="sum", per_sample_weights=shares)
        return mixing_matrix(indices, weights, rows.shape[0]) @ rows


def _check_no_gradient(*tensors: Tensor) -> None:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        raise ValueError(
            "the images or weights require a gradient, and backend=triton has none. "
            "Detach them, or use backend='torch'."
        )
