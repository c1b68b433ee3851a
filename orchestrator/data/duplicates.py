"""Fingerprints of images, and the search for pictures that stand twice.

An exact duplicate has the same pixels. A near duplicate is the same picture encoded anew, resized, brightened or
recoloured, cropped or shifted, and all of that mirrored, too; what is turned or upside down is not found. The search
has two steps: `candidates` finds the pictures worth comparing by where their edges run, and `alignment` stretches and
shifts one onto the other and tells how far apart they then are.

Recall and precision on CIFAR-10, beside a perceptual hash: ``benchmarks/near_duplicates.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from orchestrator.data.alignment import aligned_distances
from orchestrator.data.candidates import candidates, descriptions

SIDE_PX = 32
"""Side of a thumbnail. Smaller images have no near duplicates: they show too little to tell a copy from a look-alike
(of Fashion-MNIST, enlarged to 32 px, 3,094 of the 10,000 test images would have one in training)."""
MAX_DISTANCE = 0.1

_PAIRS_PER_BATCH = 512
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


@dataclass(frozen=True)
class NearPairs:
    """Pictures of two sets that are nearly the same.

    Attributes:
        rows: int64 [k, 2], ascending: of the one set and of the other.
        distances: float32 [k], at most ``MAX_DISTANCE``.
        mirrored: bool [k]: whether the one is nearer to the mirrored other than to the other.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    mirrored: NDArray[np.bool_]


def near_pairs(left: Thumbnails, right: Thumbnails, looked: Callable[[int], None] = lambda _: None) -> NearPairs:
    """The near duplicates between two sets of images, exact ones and mirrored ones among them; each pair once.

    Of a picture that stands in the other set many times, the most similar ``NUM_CANDIDATES`` are sure to be compared.
    What takes long is that each picture is compared with all of the other set, and with all of these mirrored: `looked`
    is told of how many more that is done, of twice as many as there are in both.
    """
    mirrored = np.ascontiguousarray(right[:, :, ::-1])
    with one_thread():
        described, *others = descriptions(left, right, mirrored)
        found = [
            _near(left, pictures, candidates(described, other, looked))
            for pictures, other in zip((right, mirrored), others, strict=True)
        ]
    rows = np.concatenate([pairs for pairs, _ in found])
    distances = np.concatenate([near for _, near in found])
    is_mirrored = np.repeat([False, True], [len(pairs) for pairs, _ in found])
    # Symmetric pictures are near both ways: the smaller distance says which it is, and the way they are if equal.
    order = np.lexsort((is_mirrored, distances, rows[:, 1], rows[:, 0]))
    _, first = np.unique(rows[order], axis=0, return_index=True)
    chosen = order[first]
    return NearPairs(rows[chosen], distances[chosen], is_mirrored[chosen])


def _near(
    left: Thumbnails, right: Thumbnails, pairs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Those of the pairs that are near duplicates, and their distances."""
    found = [np.empty(0, dtype=np.float32)]
    for start in range(0, len(pairs), _PAIRS_PER_BATCH):
        rows, other_rows = pairs[start : start + _PAIRS_PER_BATCH].T
        one, other = left[rows], right[other_rows]
        # Of a crop and the whole, one is easier to fit onto the other than the other way round.
        found.append(np.minimum(aligned_distances(one, other), aligned_distances(other, one)))
    distances = np.concatenate(found)
    near = distances <= MAX_DISTANCE
    return pairs[near], distances[near]
