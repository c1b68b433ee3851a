"""Which pictures are worth comparing: each one's most similar ones, by where their edges run.

A picture is described by how much of each direction its edges have in each sixteenth of it, so that a crop by some per
cent changes little, nor does brightness or colour. What all pictures of both sets have in common, sky above and ground
below, is taken out (whitened), so that what is rare counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NUM_CANDIDATES = 10
"""Of each picture."""

MIN_COSINE = 0.5
"""Of two descriptions; 98 % of the pairs of CIFAR-10 that are the same picture have more."""

_NUM_DIRECTIONS = 8
_NUM_CELLS = 4
_NEIGHBOURHOOD = 13
_SOFTENING = 16.0
# In levels per pixel: every image of CIFAR-10 has 1.3 and more on average, flat ones with noise of one level have 0.6.
_MIN_EDGES = 1.0
_EVENING = 0.1
"""Of the mean variance: what whitening adds to each."""
_COSINES_PER_CHUNK = 2**24

Descriptions = NDArray[np.float32]


def descriptions(*sets: NDArray[np.uint8]) -> list[Descriptions]:
    """float32 [n, 128] of each set of grey uint8 [n, S, S], of length 1; zeros for a picture without edges."""
    raw = [_edges(pictures) for pictures in sets]
    every = np.concatenate([edges for edges, _ in raw])
    if len(every) < 2:
        return [np.zeros_like(edges) for edges, _ in raw]
    mean = every.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((every - mean).T))
    # Of few pictures the variances are known badly: the fewer, the less is taken out.
    evening = (_EVENING + every.shape[1] / len(every)) * variances.mean()
    whitening = directions / np.sqrt(variances.clip(min=0) + evening + 1e-9)
    found = []
    for edges, plain in raw:
        white = ((edges - mean) @ whitening.astype(np.float32)).astype(np.float32)
        white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)
        found.append(np.where(plain[:, None], np.float32(0), white))
    return found


def candidates(left: Descriptions, right: Descriptions, looked: Callable[[int], None]) -> NDArray[np.int64]:
    """int64 [k, 2], ascending: the pairs of which one is among the most similar to the other.

    Each picture of both sets is compared with all of the other one; `looked` is told of how many more that is done.
    """
    pairs = np.concatenate([_most_similar(left, right, looked), _most_similar(right, left, looked)[:, ::-1]])
    return np.unique(pairs, axis=0)


def _edges(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """float32 [n, 128]; and bool [n]: whether a picture has next to none."""
    parts = [_edges_of_some(part) for part in _in_parts(pictures)]
    size = _NUM_DIRECTIONS * _NUM_CELLS**2
    return (
        np.concatenate([np.empty((0, size), dtype=np.float32), *(edges for edges, _ in parts)]),
        np.concatenate([np.empty(0, dtype=np.bool_), *(plain for _, plain in parts)]),
    )


def _edges_of_some(pictures: Tensor) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    kernels = _kernels()
    padded = functional.pad(pictures.float()[:, None], (1,) * 4, mode="replicate")
    edges = functional.conv2d(padded, kernels).relu_()
    strength = edges.sum(1, keepdim=True)
    around = functional.avg_pool2d(
        strength, _NEIGHBOURHOOD, stride=1, padding=_NEIGHBOURHOOD // 2, count_include_pad=False
    )
    cells = functional.avg_pool2d(edges.div_(around + _SOFTENING), pictures.shape[-1] // _NUM_CELLS)
    plain = strength.mean((1, 2, 3)) < _MIN_EDGES * _NUM_DIRECTIONS / math.pi
    return cells.flatten(1).sqrt_().numpy(), plain.numpy()


def _kernels() -> Tensor:
    """float32 [_NUM_DIRECTIONS, 1, 3, 3]: how steeply a picture rises in each direction, in levels per pixel."""
    along_x = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    angles = torch.arange(_NUM_DIRECTIONS) * (2 * math.pi / _NUM_DIRECTIONS)
    return (angles.cos()[:, None, None] * along_x + angles.sin()[:, None, None] * along_x.T)[:, None]


def _in_parts(pictures: NDArray[np.uint8]) -> Iterator[Tensor]:
    for start in range(0, len(pictures), 1024):
        yield torch.from_numpy(pictures[start : start + 1024])


def _most_similar(queries: Descriptions, others: Descriptions, looked: Callable[[int], None]) -> NDArray[np.int64]:
    """int64 [k, 2]: each query and up to ``NUM_CANDIDATES`` others."""
    found = [np.empty((0, 2), dtype=np.int64)]
    size = max(1, _COSINES_PER_CHUNK // max(1, len(others)))
    for start in range(0, len(queries), size):
        cosines = queries[start : start + size] @ others.T
        rows, alike = np.nonzero(cosines >= MIN_COSINE)
        # Few pictures have more than that: only theirs are put in order.
        has_many = np.bincount(rows, minlength=len(cosines)) > NUM_CANDIDATES
        best = alike[:0]
        if has_many.any():
            best = np.argpartition(cosines[has_many], -NUM_CANDIDATES, axis=1)[:, -NUM_CANDIDATES:]
        few, many = ~has_many[rows], np.repeat(np.flatnonzero(has_many), NUM_CANDIDATES)
        found.append(np.stack([np.r_[rows[few], many] + start, np.r_[alike[few], best.ravel()]], axis=1))
        looked(len(cosines))
    return np.concatenate(found)
