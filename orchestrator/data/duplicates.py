"""Fingerprints of images, and the search for pictures that stand twice.

An exact duplicate has the same pixels. A near duplicate is the same picture encoded anew, resized, brightened or
recoloured, or cropped by a few per cent; mirrored or turned ones are not found. The search has two steps:

1. Candidates: each image's most similar ones, by the cosine between the low frequencies of their thumbnails, weighted
   so that fine detail counts as much as coarse: a perceptual hash before it is cut to bits.
2. One thumbnail is stretched and shifted onto the other. The distance is 1 - the correlation of what then remains when
   brightness and contrast are taken out of every neighbourhood. Pictures that share a vignette, a ruler or the outline
   of a lesion pass the first step and differ here.

Measured, searching 1,000 altered images of ISIC 2017 (256 px) and 1,000 of CIFAR-10 among all training images: JPEG of
quality 60 to 90, resized to 7/8 and back, 5 % brighter or darker, 2 % cropped: recall 0.994 to 1.000; 6 % cropped: 0.95
and 0.81; turned by 2 degrees: 0.58 and 0.99; CIFAR-10 resized to a half and back: 0.31; mirrored: 0.
Looked at: all 26 pairs between the splits of ISIC 2017, 4 of them exact, are the same picture (distances to 0.065, of
others from 0.173); of 318 test images of CIFAR-10 found in training, about 5 are another photograph of the same thing.
50,000 x 10,000 images take 11 s on one core; two minutes where all resemble each other, as in Fashion-MNIST.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SIDE_PX = 32
"""Side of a thumbnail. Smaller images have no near duplicates: they show too little to tell a copy from a look-alike
(of Fashion-MNIST, enlarged to 32 px, 3,094 of the 10,000 test images would have one in training)."""
MAX_DISTANCE = 0.1

# Candidates. Images of ISIC 2017 and CIFAR-10 have a contrast of 1,000 and more, flat ones with noise of one level 110.
_NUM_FREQUENCIES = 12
_MIN_CONTRAST = 100.0
_MIN_COSINE = 0.6
_NUM_CANDIDATES = 5
# Distances. The local contrast of the images named varies by 0.1 and more, that of a smooth gradient by 0.014.
_MAX_SHIFT = 0.12
_NUM_STEPS = 5
_SOFTENING = 1.0
_BORDER = 4
_MIN_DETAIL = 0.05

_PAIRS_PER_BATCH = 512
_COSINES_PER_CHUNK = 2**24
_LUMA = (0.299, 0.587, 0.114)

Thumbnails = NDArray[np.uint8]


@dataclass(frozen=True)
class Fingerprints:
    """What is kept of images.

    Attributes:
        digests: A hash of each image's pixels.
        thumbnails: uint8 [n, SIDE_PX, SIDE_PX], grey; zeros for an image that is smaller.
        too_small: bool [n]: whether it is.
    """

    digests: tuple[bytes, ...]
    thumbnails: Thumbnails
    too_small: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Fingerprints]) -> Fingerprints:
        """All of them, in this order; at least one."""
        return cls(
            tuple(digest for part in parts for digest in part.digests),
            np.concatenate([part.thumbnails for part in parts]),
            np.concatenate([part.too_small for part in parts]),
        )

    def part(self, rows: Sequence[int]) -> Fingerprints:
        """Those of these images."""
        chosen = np.array(rows, dtype=np.int64)
        return Fingerprints(tuple(self.digests[row] for row in rows), self.thumbnails[chosen], self.too_small[chosen])


@contextmanager
def one_thread() -> Iterator[None]:
    """Makes PyTorch compute in one thread: operations are small, and on 2 busy cores two took 63 s for 3 s of work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fingerprints(images: Tensor) -> Fingerprints:
    """The fingerprints of uint8 [n, C, H, W] with 1 or 3 channels; a grey image and the same in RGB have the same."""
    rgb = images.expand(-1, 3, -1, -1)
    digests = tuple(hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in rgb)
    too_small = np.full(len(images), min(images.shape[2:]) < SIDE_PX)
    if min(images.shape[2:]) < SIDE_PX or len(images) == 0:
        return Fingerprints(digests, np.zeros((len(images), SIDE_PX, SIDE_PX), dtype=np.uint8), too_small)
    grey = torch.einsum("nchw,c->nhw", rgb.float(), torch.tensor(_LUMA)).unsqueeze(1)
    small = functional.interpolate(grey, size=(SIDE_PX, SIDE_PX), mode="bilinear", antialias=True).squeeze(1)
    return Fingerprints(digests, small.round().clamp(0, 255).to(torch.uint8).numpy(), too_small)


def near_pairs(left: Thumbnails, right: Thumbnails) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The near duplicates between two sets of images, exact ones among them.

    Of a picture that stands in the other set many times, the most similar ``_NUM_CANDIDATES`` are sure to be found.

    Returns:
        int64 [k, 2]: rows of ``left`` and of ``right``; float32 [k]: their distances, at most ``MAX_DISTANCE``.
    """
    pairs = _candidates(_unit_vectors(left), _unit_vectors(right))
    batches = [pairs[start : start + _PAIRS_PER_BATCH] for start in range(0, len(pairs), _PAIRS_PER_BATCH)]
    with one_thread():
        found = [_distances(left[batch[:, 0]], right[batch[:, 1]]) for batch in batches]
    distances = np.concatenate([np.empty(0, dtype=np.float32), *found])
    near = distances <= MAX_DISTANCE
    return pairs[near], distances[near]


def _unit_vectors(thumbnails: Thumbnails) -> NDArray[np.float32]:
    """float32 [n, _NUM_FREQUENCIES²]; zeros for an image without contrast, which thus resembles none."""
    place = np.arange(_NUM_FREQUENCIES)
    weights = np.hypot(place[:, None], place)  # the spectrum of a natural image falls like 1 / frequency
    vectors = np.empty((len(thumbnails), _NUM_FREQUENCIES**2), dtype=np.float32)
    for start in range(0, len(thumbnails), 4096):
        part = thumbnails[start : start + 4096].astype(np.float32)
        spectra = scipy.fft.dctn(part, axes=(1, 2), norm="ortho")[:, :_NUM_FREQUENCIES, :_NUM_FREQUENCIES]
        weighted = (spectra * weights).reshape(len(part), -1)
        norms = np.linalg.norm(weighted, axis=1, keepdims=True)
        vectors[start : start + len(part)] = np.where(norms >= _MIN_CONTRAST, weighted / np.maximum(norms, 1), 0)
    return vectors


def _candidates(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 [k, 2], ascending: the pairs of which one is among the most similar to the other."""
    pairs = np.concatenate([_most_similar(left, right), _most_similar(right, left)[:, ::-1]])
    return np.unique(pairs, axis=0)


def _most_similar(queries: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 [k, 2]: each query and up to ``_NUM_CANDIDATES`` others."""
    found = [np.empty((0, 2), dtype=np.int64)]
    num = min(_NUM_CANDIDATES, len(others))
    size = max(1, _COSINES_PER_CHUNK // max(1, len(others)))
    for start in range(0, len(queries), size):
        cosines = queries[start : start + size] @ others.T
        rows = np.flatnonzero((cosines >= _MIN_COSINE).any(axis=1))
        best = np.argpartition(cosines[rows], -num, axis=1)[:, -num:]
        alike = np.take_along_axis(cosines[rows], best, axis=1) >= _MIN_COSINE
        found.append(np.stack([np.repeat(rows + start, num)[alike.ravel()], best[alike]], axis=1))
    return np.concatenate(found)


def _distances(left: Thumbnails, right: Thumbnails) -> NDArray[np.float32]:
    """float32 [k] in [0, 2]: of each pair; 1 where one has no detail to compare."""
    fixed, moving = (torch.from_numpy(thumbnails.astype(np.float32)) for thumbnails in (left, right))
    moved, inside = _aligned(fixed, moving)
    weights = functional.pad(inside[:, _BORDER:-_BORDER, _BORDER:-_BORDER].float(), (_BORDER,) * 4)
    one, other = _local_contrast(fixed), _local_contrast(moved)
    covariance, variance, other_variance = (
        _weighted_covariance(a, b, weights) for a, b in ((one, other), (one, one), (other, other))
    )
    enough = torch.minimum(variance, other_variance) >= _MIN_DETAIL
    correlation = covariance / (variance * other_variance).sqrt().clamp(min=1e-9)
    return (1 - torch.where(enough, correlation, 0.0)).numpy()


def _aligned(fixed: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """Stretches and shifts one picture along each axis to fit another, by Gauss-Newton on the squared difference.

    Args:
        fixed: float32 [k, S, S].
        moving: float32 [k, S, S].

    Returns:
        ``moving``, resampled; and bool [k, S, S], where that lies inside it.
    """
    side = fixed.shape[-1]
    place = torch.linspace(-1 + 1 / side, 1 - 1 / side, side)
    target, source = _blurred(fixed, 3), _blurred(moving, 3)
    target = (target - target.mean((1, 2), keepdim=True)).flatten(1)
    motion = torch.zeros(len(fixed), 4)  # stretch and shift along x, and along y
    for _ in range(_NUM_STEPS):
        moved = _resampled(source, _grid(motion, place))
        along_y, along_x = torch.gradient(moved, spacing=2 / side, dim=(1, 2))
        slopes = [along_x * place, along_x, along_y * place[:, None], along_y]
        contrast = moved - moved.mean((1, 2), keepdim=True)
        design = torch.stack([*slopes, contrast, torch.ones_like(moved)], dim=-1).flatten(1, 2)
        normal = design.mT @ design
        damped = normal + torch.diag_embed(1e-4 * normal.diagonal(dim1=1, dim2=2) + 1e-3)
        solution = torch.linalg.solve(damped, design.mT @ target[..., None])[..., 0]
        # The slopes are those of `moved`, so what they are multiplied by contains the change of contrast.
        motion = (motion + solution[:, :4] / solution[:, 4:5].clamp(min=0.2)).clamp(-_MAX_SHIFT, _MAX_SHIFT)
    grid = _grid(motion, place)
    return _resampled(moving, grid), (grid.abs() <= 1).all(-1)


def _grid(motion: Tensor, place: Tensor) -> Tensor:
    """float32 [k, S, S, 2]: where in the moving picture, in [-1, 1], each pixel comes from."""
    x = (1 + motion[:, 0:1]) * place + motion[:, 1:2]
    y = (1 + motion[:, 2:3]) * place + motion[:, 3:4]
    side = len(place)
    return torch.stack([x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=-1)


def _resampled(pictures: Tensor, grid: Tensor) -> Tensor:
    sampled = functional.grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)
    return sampled[:, 0]


def _blurred(pictures: Tensor, side: int) -> Tensor:
    padded = functional.pad(pictures[:, None], (side // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, side, stride=1)[:, 0]


def _local_contrast(pictures: Tensor) -> Tensor:
    """What each pixel differs from its neighbourhood by, in units of how much that varies; _SOFTENING for noise."""
    smooth = _blurred(pictures, 3)  # what survives encoding
    detail = smooth - _blurred(smooth, 5)
    return detail / (_blurred(detail.square(), 5) + _SOFTENING**2).sqrt()


def _weighted_covariance(one: Tensor, other: Tensor, weights: Tensor) -> Tensor:
    """float32 [k]: over the pixels of each picture."""
    total = weights.sum((1, 2)).clamp(min=1)
    mean_one, mean_other = ((x * weights).sum((1, 2)) / total for x in (one, other))
    return (one * other * weights).sum((1, 2)) / total - mean_one * mean_other
