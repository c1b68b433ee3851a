"""How far mixed images are from real ones, as a network sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def frechet_distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the squared Fréchet distance of two sets of features, each taken as normally distributed.

    Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NIPS
    2017; there with Inception's features.

    Args:
        one: [n, F], n at least 2.
        other: [m, F], m at least 2. With few images the distance of the same kind of images is not 0 but larger.

    Returns:
        |μ - ν|² + tr(Σ + T - 2 (ΣT)^½), at least 0.
    """
    roots = [_root(each) for each in (one, other)]
    # The trace of the root of ΣT, without roots of matrices, which are not exact where a covariance has no inverse.
    common = np.linalg.svdvals(roots[0] @ roots[1].T).sum()
    shift = np.square(one.mean(axis=0, dtype=np.float64) - other.mean(axis=0, dtype=np.float64)).sum()
    return float(max(0.0, shift + sum(np.square(root).sum() for root in roots) - 2 * common))


def _root(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a root of their covariance: that is the product of its transpose with itself; [F, F], or less."""
    centred = features - features.mean(axis=0, dtype=np.float64)
    return np.asarray(np.linalg.qr(centred / np.sqrt(len(features) - 1), mode="r"), dtype=np.float64)
