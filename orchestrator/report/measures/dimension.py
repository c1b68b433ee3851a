"""The intrinsic dimension of a set of images: in how many directions it extends around each of them.

Two estimators, which look at the nearest neighbours of an image and are averaged over images. They do not agree on the
number, and it depends on how many neighbours and images there are: only what the same estimator says of as many images
may be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NUM_NEIGHBOURS = 128  # as on the poster
# Of the largest variance of a neighbourhood, what a direction has at least to count as one.
LEAST_SHARE = 0.05
# Neighbourhoods that are looked at together: 32 of 128 images of 3,072 numbers take 50 MB.
_AT_A_TIME = 32


def local_pca(near: NDArray[np.float32]) -> Floats:
    """Return how many principal components of each neighbourhood have `LEAST_SHARE` of the variance of the first.

    Source: Fukunaga and Olsen, "An algorithm for finding intrinsic dimensionality of data", IEEE Transactions on
    Computers C-20 (1971).

    Args:
        near: float32 [m, k, D]: the neighbours of m images, less the image itself.

    Returns:
        [m]
    """
    centred = near - near.mean(axis=1, keepdims=True)
    # The variances of the components are the eigenvalues of either product, of which the smaller takes less time.
    turned = centred.transpose(0, 2, 1)
    variances = np.linalg.eigvalsh(centred @ turned if near.shape[1] <= near.shape[2] else turned @ centred)
    return np.asarray((variances > LEAST_SHARE * variances[:, -1:]).sum(axis=1), dtype=float)


def maximum_likelihood(near: NDArray[np.float32]) -> Floats:
    """Return the dimension in which the distances of neighbours are the most likely, of each neighbourhood.

    Source: Levina and Bickel, "Maximum likelihood estimation of intrinsic dimension", NIPS 2004, equation 8. Of several
    neighbourhoods it is the harmonic mean: MacKay and Ghahramani, "Comments on 'Maximum likelihood estimation of
    intrinsic dimension' by E. Levina and P. Bickel", 2005.

    Args:
        near: See `local_pca`.

    Returns:
        [m]; NaN where no two neighbours are at different distances.
    """
    distances = np.sort(np.sqrt(np.einsum("mkd,mkd->mk", near, near).astype(float)), axis=1)
    # The same image twice has no distance to take the logarithm of, and tells nothing.
    distances[distances == 0] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = np.log(distances[:, -1:] / distances[:, :-1])
        counted = np.isfinite(logarithms).sum(axis=1)
        found: Floats = counted / np.nansum(logarithms, axis=1)
    found[~np.isfinite(found)] = np.nan
    return found


@dataclass(frozen=True)
class Estimator:
    """An estimator of the intrinsic dimension.

    Attributes:
        of_each: Takes neighbourhoods as `local_pca` does, and returns the dimension of each.
        together: Returns one of them all, whatever is NaN left out.
    """

    of_each: Callable[[NDArray[np.float32]], Floats]
    together: Callable[[Floats], float]


def _mean(values: Floats) -> float:
    return float(np.nanmean(values))


def _harmonic_mean(values: Floats) -> float:
    return 1 / float(np.nanmean(1 / values))


ESTIMATORS: Mapping[str, Estimator] = {
    "local PCA (Fukunaga-Olsen, 0.05)": Estimator(local_pca, _mean),
    "maximum likelihood (Levina-Bickel)": Estimator(maximum_likelihood, _harmonic_mean),
}


def intrinsic_dimension(
    images: NDArray[np.float32], *, num_centres: int | None = None, num_neighbours: int = NUM_NEIGHBOURS
) -> dict[str, float]:
    """Return what each of `ESTIMATORS` says of a set of images.

    Args:
        images: float32 [n, D], one after the other.
        num_centres: Around so many of them, the first, or around all if there are fewer; None for all.
        num_neighbours: Of each; fewer than n.

    Raises:
        ValueError: There are not so many neighbours.
    """
    if not 2 <= num_neighbours < len(images):
        raise ValueError(f"num_neighbours={num_neighbours}: it is at least 2 and less than the {len(images)} images")
    # Distances by products are least exact far from the origin.
    points = images - images.mean(axis=0)
    squares = np.einsum("nd,nd->n", points, points)
    found: dict[str, list[Floats]] = {name: [] for name in ESTIMATORS}
    num_centres = min(num_centres or len(points), len(points))
    for start in range(0, num_centres, _AT_A_TIME):
        centres = np.arange(start, min(start + _AT_A_TIME, num_centres))
        distances = squares - 2 * points[centres] @ points.T
        distances[np.arange(len(centres)), centres] = np.inf
        nearest = np.argpartition(distances, num_neighbours, axis=1)[:, :num_neighbours]
        near = points[nearest] - points[centres, None]
        for name, estimator in ESTIMATORS.items():
            found[name].append(estimator.of_each(near))
    return {name: ESTIMATORS[name].together(np.concatenate(of_name)) for name, of_name in found.items()}
