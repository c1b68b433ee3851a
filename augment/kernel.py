"""The mixing kernel for GPUs, in Triton: pixels are read from memory once, and the batch is written once.

Two custom operators, ``zetasweep::mix`` for floating images and ``zetasweep::mix_pixels``, which takes bytes and also
crops, mirrors, normalises and casts. Each launches one of two kernels over the same tile code (`augment.tiles`):
*gather* for few samples per output, *dense* for many.

``TRITON_INTERPRET=1``, set before this module is imported, runs them on CPU tensors: slow, and what the tests do.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from augment.layout import memory_order, undo
from augment.tiles import dense_kernel, gather_kernel, matrix_kernel

# The launch settings below follow from arithmetic and from the compiler's report (benchmarks/kernel_report.py); no GPU
# has measured them yet, see benchmarks/README.md.
# A sample more costs the gather kernel another read from the cache, the dense one nothing.
GATHER_MAX_NUM_MIXED = 8
GATHER_TILE, GATHER_WARPS = 1024, 4
# 128 registers and no spill for bytes: two programs on a multiprocessor, of which one loads while the other multiplies.
DENSE_ROWS, DENSE_SAMPLES, DENSE_TILE, DENSE_WARPS, DENSE_REGISTERS = 128, 128, 64, 8, 128
MATRIX_RANKS = 32
# float32 images are multiplied without tensor cores, with more registers per number.
FLOAT_ROWS, FLOAT_SAMPLES, FLOAT_TILE = 64, 32, 32
# A program costs the interpreter milliseconds of Python, whatever its size: few, large tiles.
INTERPRETED_TILE, INTERPRETED_PROGRAMS = 8192, 2
# tl.dot takes no less.
MIN_DOT = 16
# Whether the kernels run on the CPU, in Triton's interpreter. A constant: torch.compile reads it in a traced function.
IS_INTERPRETED = not isinstance(gather_kernel, triton.runtime.JITFunction)


@torch.library.custom_op("zetasweep::mix", mutates_args=())
def mix(images: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """See `augment.mixing.mix`: `images` floating ``[B, ...]``, `weights` ``[N]`` or ``[B, N]``."""
    mixed = _empty_like(images)
    if images.numel() == 0:
        return mixed
    in_memory = images.permute(memory_order(images))
    # At most three dimensions of an image are told apart; where it has no gaps, it is one row of numbers.
    if in_memory.is_contiguous() or in_memory.dim() > 4:
        in_memory = in_memory.reshape(images.shape[0], 1, 1, -1)
    else:
        in_memory = in_memory.reshape(images.shape[0], *(1,) * (4 - images.dim()), *in_memory.shape[1:])
    _launch(in_memory, indices, weights, mixed, channels_last=False)
    return mixed


@mix.register_fake
def _(images: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    return _empty_like(images)


@torch.library.custom_op("zetasweep::mix_pixels", mutates_args=())
def mix_pixels(
    pixels: Tensor,
    indices: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    padding: int,
    top: Tensor | None,
    left: Tensor | None,
    mirrored: Tensor | None,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:
    """See `augment.mixing.mix_pixels`: `pixels` uint8 ``[B, C, H, W]``, `weights` ``[N]`` or ``[B, N]``."""
    mixed = _empty_pixels(pixels, dtype, channels_last)
    if pixels.numel() == 0:
        return mixed
    window = None if top is None or left is None or mirrored is None else (padding, top, left, mirrored)
    _launch(pixels, indices, weights, mixed, channels_last=channels_last, window=window, normalization=(scale, shift))
    return mixed


@mix_pixels.register_fake
def _(
    pixels: Tensor,
    indices: Tensor,
    weights: Tensor,
    scale: Tensor,
    shift: Tensor,
    padding: int,
    top: Tensor | None,
    left: Tensor | None,
    mirrored: Tensor | None,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:
    return _empty_pixels(pixels, dtype, channels_last)


def uses_gather(num_mixed: int, dtype: torch.dtype) -> bool:
    """Return whether `num_mixed` samples of `dtype` are gathered: few of them, or those no tensor core takes."""
    return num_mixed <= GATHER_MAX_NUM_MIXED or dtype == torch.float64


def _launch(
    images: Tensor,
    indices: Tensor,
    weights: Tensor,
    mixed: Tensor,
    *,
    channels_last: bool,
    window: tuple[int, Tensor, Tensor, Tensor] | None = None,
    normalization: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Fill `mixed`, whose memory holds image after image in the order of `images` (or channels last).

    Args:
        images: ``[B, C, H, W]`` with any strides.
        indices: int64 ``[B, N]``.
        weights: ``[N]`` or ``[B, N]``.
        mixed: Dense.
        channels_last: Whether the channels of a pixel are neighbours in `mixed`.
        window: Padding, top, left and mirrored of an `augment.pixels.Window`.
        normalization: Scale and shift of an `augment.pixels.Normalization`.
    """
    batch_size, channels, height, width = images.shape
    # Places inside an image are 32-bit numbers.
    if sum((size - 1) * stride for size, stride in zip(images.shape[1:], images.stride()[1:], strict=True)) >= 2**31:
        images = images.contiguous()
    # A pointer that is not read must be one nevertheless.
    padding, top, left, mirrored = window or (0, indices, indices, indices)
    scale, shift = normalization or (weights, weights)
    arguments = [tensor.contiguous() for tensor in (scale, shift, top, left, mirrored)]
    sizes = {"batch_size": batch_size, "size": channels * height * width, "padding": padding}
    names = ("sample_stride", "channel_stride", "row_stride", "column_stride")
    is_row = channels == height == 1 and window is None and normalization is None
    settings: dict[str, Any] = dict(zip(names, images.stride(), strict=True)) | {
        "channels": channels,
        "height": height,
        "width": 1 if is_row else width,
        "channels_last": channels_last,
        "windowed": window is not None,
        "normalized": normalization is not None,
        "interpreted": IS_INTERPRETED,
    }
    launch = _launch_gather if uses_gather(indices.shape[1], images.dtype) else _launch_dense
    with _on_device(images):
        launch(images, indices, weights, mixed, arguments, sizes | settings)


def _launch_gather(
    images: Tensor, indices: Tensor, weights: Tensor, mixed: Tensor, arguments: list[Tensor], settings: dict[str, Any]
) -> None:
    num_mixed = indices.shape[1]
    tile = INTERPRETED_TILE if IS_INTERPRETED else GATHER_TILE
    tile = min(tile, triton.next_power_of_2(settings["size"]))
    programs = settings["batch_size"] * triton.cdiv(settings["size"], tile)
    gather_kernel[(programs,)](
        images, indices.contiguous(), weights.contiguous(), mixed, *arguments,
        num_mixed=num_mixed,
        weight_stride=num_mixed if weights.dim() == 2 else 0,
        sum_dtype=tl.float64 if images.dtype == torch.float64 else tl.float32,
        tile=tile,
        num_warps=GATHER_WARPS,
        **settings,
    )  # fmt: skip


def _launch_dense(
    images: Tensor, indices: Tensor, weights: Tensor, mixed: Tensor, arguments: list[Tensor], settings: dict[str, Any]
) -> None:
    batch_size = settings["batch_size"]
    plan = dense_plan(batch_size, settings["size"], images.dtype, mixed.dtype)
    padded_size = triton.cdiv(batch_size, plan["samples"]) * plan["samples"]
    row_blocks = triton.cdiv(batch_size, plan["rows"])
    matrix = _padded_matrix(indices, weights, (row_blocks * plan["rows"], padded_size), samples=plan["samples"])
    programs = min(triton.cdiv(settings["size"], plan["tile"]), _resident_programs(images))
    dense_kernel[(programs, row_blocks)](
        images, matrix, mixed, *arguments,
        padded_size=padded_size,
        **plan,
        **settings,
    )  # fmt: skip


def _padded_matrix(indices: Tensor, weights: Tensor, shape: tuple[int, int], *, samples: int) -> Tensor:
    """Return the weight matrix, float32, padded to `shape`: the product then reads whole blocks of it.

    In one launch, and without the scatter that torch's deterministic mode turns into one that waits for the host.
    """
    batch_size, num_mixed = indices.shape
    matrix = torch.empty(shape, dtype=torch.float32, device=indices.device)
    matrix_kernel[(shape[0], shape[1] // samples)](
        indices.contiguous(), weights.contiguous(), matrix, batch_size, num_mixed, shape[1],
        weight_stride=num_mixed if weights.dim() == 2 else 0,
        samples=samples,
        ranks=triton.next_power_of_2(num_mixed) if IS_INTERPRETED else MATRIX_RANKS,
        num_warps=GATHER_WARPS,
    )  # fmt: skip
    return matrix


def dense_plan(batch_size: int, size: int, dtype: torch.dtype, mixed_dtype: torch.dtype) -> dict[str, Any]:
    """Return the constants and options of the dense kernel.

    Args:
        batch_size: B.
        size: Of one image, in numbers.
        dtype: Of the images.
        mixed_dtype: Of the result.
    """
    dot_dtype = _dot_dtype(dtype)
    # One part of 11 bits is below the rounding to bfloat16, which keeps 8; bfloat16 images allow parts of 8 bits only.
    two_parts = mixed_dtype != torch.bfloat16 or dtype == torch.bfloat16
    rows, samples, tile = (
        (FLOAT_ROWS, FLOAT_SAMPLES, FLOAT_TILE) if dot_dtype == tl.float32 else (DENSE_ROWS, DENSE_SAMPLES, DENSE_TILE)
    )
    if batch_size > DENSE_SAMPLES:
        # The weights change from block to block: two blocks of them and their addresses would not fit in registers.
        samples //= 2
    block = triton.next_power_of_2(batch_size)
    rows, samples = (max(MIN_DOT, min(limit, block)) for limit in (rows, samples))
    tile = max(MIN_DOT, min(INTERPRETED_TILE if IS_INTERPRETED else tile, triton.next_power_of_2(size)))
    whole = batch_size <= samples
    return {
        "dot_dtype": dot_dtype,
        "two_parts": two_parts,
        "rows": rows,
        "samples": samples,
        "tile": tile,
        "whole": whole,
        "num_warps": DENSE_WARPS if rows == DENSE_ROWS else DENSE_WARPS // 2,
        "maxnreg": DENSE_REGISTERS if whole and not two_parts and rows == DENSE_ROWS else None,
    }


def _resident_programs(images: Tensor) -> int:
    """Return how many programs of the dense kernel the device runs at a time; each takes one tile after the other."""
    if IS_INTERPRETED:
        return INTERPRETED_PROGRAMS
    return 2 * torch.cuda.get_device_properties(images.device).multi_processor_count


def _dot_dtype(dtype: torch.dtype) -> tl.dtype:
    """Return the dtype in which images enter a product: one that holds them exactly, bytes included."""
    if dtype == torch.bfloat16 and IS_INTERPRETED:
        # The interpreter of Triton 3.9 multiplies their bits as integers.
        return tl.float32
    return {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16}.get(dtype, tl.float16)


def _on_device(images: Tensor) -> Any:
    """Triton launches on the current device, whatever its arguments are on."""
    return torch.cuda.device_of(images)  # type: ignore[no-untyped-call]


def _empty_like(images: Tensor) -> Tensor:
    """Return an empty tensor without gaps whose images lie in memory like those of `images`."""
    order = memory_order(images)
    return images.new_empty([images.shape[dim] for dim in order]).permute(undo(order))


def _empty_pixels(pixels: Tensor, dtype: torch.dtype, channels_last: bool) -> Tensor:
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(pixels.shape, dtype=dtype, device=pixels.device, memory_format=memory_format)
