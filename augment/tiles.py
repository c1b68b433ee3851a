"""The tile code of the mixing kernels, in Triton: what one program does on the GPU.

* `gather_kernel`, for few samples per output: one program sums one tile of one output. The outputs of a tile are
  neighbours in the launch order, so a tile that several of them mix comes from the cache after the first time.
* `dense_kernel`, for many: one program multiplies the weight matrix with tile after tile of all samples, on tensor
  cores.
* `matrix_kernel` writes that matrix.

A tile is a run of positions in the memory of an output, whose images lie there one after the other without gaps.
"""

import triton
import triton.language as tl

# Weights enter the tensor cores in 16 bits. Scaled by this power of two, an fp16 number and a second one that holds
# what the first left over keep 22 bits of a weight; unscaled, those of small weights would be subnormal.
WEIGHT_SCALE = tl.constexpr(4096.0)


@triton.jit
def _coordinates(
    position,
    channels: tl.constexpr,
    height: tl.constexpr,
    width: tl.constexpr,
    channels_last: tl.constexpr,
):
    """Return channel, row and column of a position in the memory of an output."""
    if channels * height * width == 1:
        # Images that are read as one row of numbers: compiled once, whatever its length.
        column = position
        row = position * 0
        channel = row
    elif channels_last:
        channel = position % channels
        column = position // channels % width
        row = position // (channels * width)
    else:
        column = position % width
        row = position // width % height
        channel = position // (height * width)
    return channel, row, column


@triton.jit
def _load(
    images,
    sample,
    inside,
    channel,
    row,
    column,
    sample_stride,
    channel_stride,
    row_stride,
    column_stride,
    top,
    left,
    mirrored,
    padding,
    height: tl.constexpr,
    width: tl.constexpr,
    windowed: tl.constexpr,
):
    """Return what `sample` shows at a position of the output; 0 in the padding and where not `inside`."""
    if windowed:
        turned = tl.load(mirrored + sample) != 0
        column = tl.where(turned, width - 1 - column, column) + (tl.load(left + sample) - padding).to(tl.int32)
        row = row + (tl.load(top + sample) - padding).to(tl.int32)
        inside = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = channel * channel_stride + row * row_stride + column * column_stride
    return tl.load(images + sample.to(tl.int64) * sample_stride + place, mask=inside, other=0)


@triton.jit
def _rounded(numbers, dtype: tl.constexpr, interpreted: tl.constexpr):
    """Return float32 `numbers` in `dtype`, rounded to nearest even."""
    if interpreted and dtype == tl.bfloat16:
        # The interpreter of Triton 3.9 cuts the bits off instead.
        bits = numbers.to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return bits.to(tl.uint16).to(tl.bfloat16, bitcast=True)
    return numbers.to(dtype)


@triton.jit
def _store(
    mixed, output, size, position, inside, total, channel, scale, shift,
    normalized: tl.constexpr, interpreted: tl.constexpr,
):  # fmt: skip
    """Normalise a tile, round it to the dtype of `mixed` and write it."""
    if normalized:
        # Weights sum to 1: normalising the mixed pixels is mixing the normalised ones.
        total = total * tl.load(scale + channel) - tl.load(shift + channel)
    rounded = _rounded(total, mixed.dtype.element_ty, interpreted)
    tl.store(mixed + output.to(tl.int64) * size + position, rounded, mask=inside)


@triton.jit
def gather_kernel(
    images, indices, weights, mixed,
    scale, shift, top, left, mirrored,
    batch_size, num_mixed, size, padding,
    weight_stride, sample_stride, channel_stride, row_stride, column_stride,
    channels: tl.constexpr, height: tl.constexpr, width: tl.constexpr,
    channels_last: tl.constexpr, windowed: tl.constexpr, normalized: tl.constexpr, interpreted: tl.constexpr,
    sum_dtype: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    """Sum one tile of one output."""
    output = tl.program_id(0) % batch_size
    position = tl.program_id(0) // batch_size * tile + tl.arange(0, tile)
    inside = position < size
    channel, row, column = _coordinates(position, channels, height, width, channels_last)
    total = tl.zeros((tile,), sum_dtype)
    for rank in range(num_mixed):
        sample = tl.load(indices + output * num_mixed + rank)
        weight = tl.load(weights + output * weight_stride + rank).to(sum_dtype)
        values = _load(
            images, sample, inside, channel, row, column,
            sample_stride, channel_stride, row_stride, column_stride,
            top, left, mirrored, padding, height, width, windowed,
        )  # fmt: skip
        total += weight * values.to(sum_dtype)
    _store(mixed, output, size, position, inside, total, channel % channels, scale, shift, normalized, interpreted)


@triton.jit
def matrix_kernel(
    indices, weights, matrix, batch_size, num_mixed, padded_size, weight_stride,
    samples: tl.constexpr, ranks: tl.constexpr,
):  # fmt: skip
    """Write `samples` columns of one row of the weight matrix."""
    # The rows below the batch repeat its last one; what is computed of them is not written.
    output = tl.minimum(tl.program_id(0), batch_size - 1)
    sample = tl.program_id(1) * samples + tl.arange(0, samples)
    total = tl.zeros((samples,), tl.float32)
    for start in range(0, num_mixed, ranks):
        rank = start + tl.arange(0, ranks)
        known = rank < num_mixed
        mixed = tl.load(indices + output * num_mixed + rank, mask=known, other=-1)
        weight = tl.load(weights + output * weight_stride + rank, mask=known, other=0.0).to(tl.float32)
        total += tl.sum(tl.where(sample[:, None] == mixed[None, :], weight[None, :], 0.0), axis=1)
    tl.store(matrix + tl.program_id(0) * padded_size + sample, total)


@triton.jit
def _weight_parts(
    matrix, output, sample, padded_size,
    dot_dtype: tl.constexpr, two_parts: tl.constexpr, interpreted: tl.constexpr,
):  # fmt: skip
    """Return a block of the weight matrix as `dot_dtype`, and what that left over."""
    weight = tl.load(matrix + output[:, None] * padded_size + sample[None, :])
    if dot_dtype == tl.float32:
        return weight, weight
    scaled = weight * WEIGHT_SCALE
    high = _rounded(scaled, dot_dtype, interpreted)
    low = _rounded(scaled - high.to(tl.float32), dot_dtype, interpreted) if two_parts else high
    return high, low


@triton.jit
def dense_kernel(
    images, matrix, mixed,
    scale, shift, top, left, mirrored,
    batch_size, padded_size, size, padding,
    sample_stride, channel_stride, row_stride, column_stride,
    channels: tl.constexpr, height: tl.constexpr, width: tl.constexpr,
    channels_last: tl.constexpr, windowed: tl.constexpr, normalized: tl.constexpr, interpreted: tl.constexpr,
    dot_dtype: tl.constexpr, two_parts: tl.constexpr, whole: tl.constexpr,
    rows: tl.constexpr, samples: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    """Multiply `rows` rows of the weight matrix with the batch, tile after tile."""
    output = tl.program_id(1) * rows + tl.arange(0, rows)
    sample = tl.arange(0, samples)
    if whole:
        # The batch fits into one block: its weights stay where they are while tile after tile goes by.
        high, low = _weight_parts(matrix, output, sample, padded_size, dot_dtype, two_parts, interpreted)
    for block in range(tl.program_id(0), tl.cdiv(size, tile), tl.num_programs(0)):
        position = block * tile + tl.arange(0, tile)
        inside = position < size
        channel, row, column = _coordinates(position, channels, height, width, channels_last)
        total = tl.zeros((rows, tile), tl.float32)
        for start in range(0, padded_size, samples):
            known = start + sample < batch_size
            if not whole:
                high, low = _weight_parts(
                    matrix, output, start + sample, padded_size, dot_dtype, two_parts, interpreted
                )  # fmt: skip
            values = _load(
                images, tl.minimum(start + sample, batch_size - 1)[:, None], known[:, None] & inside[None, :],
                channel[None, :], row[None, :], column[None, :],
                sample_stride, channel_stride, row_stride, column_stride,
                top, left, mirrored, padding, height, width, windowed,
            ).to(dot_dtype)  # fmt: skip
            if dot_dtype == tl.float32:
                total = tl.dot(high, values, total, input_precision="ieee")
            else:
                total = tl.dot(high, values, total)
                if two_parts:
                    total = tl.dot(low, values, total)
        if dot_dtype != tl.float32:
            total = total / WEIGHT_SCALE
        written = (output < batch_size)[:, None] & inside[None, :]
        _store(
            mixed, output[:, None], size, position[None, :], written, total,
            (channel % channels)[None, :], scale, shift, normalized, interpreted,
        )  # fmt: skip
