"""Means over images, in all or of each class, whose variance over test sets is known without resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Numbers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """The mean of the means over each class, or the mean over one; and what test sets have others of.

    Attributes:
        places: The class of each image, among those that occur, [n].
        counts: How many images each has, [classes].
        members: What sums over each, [classes, n].
        factors: What an image's deviation from its class counts for, [n].
        groups: The place of each image among the images sorted by group, and where each group begins there; None if
            each image is one of its own.
    """

    places: NDArray[np.intp]
    counts: Floats
    members: csr_array
    factors: Floats
    groups: tuple[NDArray[np.intp], NDArray[np.intp]] | None

    @classmethod
    def of(cls, classes: Numbers, groups: Numbers | None, *, label: int | None) -> ClassMeans | None:
        """Return it for images; None if a class that counts has no image, or a single group: no spread is seen.

        Args:
            classes: Of each image, [n]; all the same for the mean over all images.
            groups: The group of each image, [n], of which test sets have others; None if they have other images.
            label: The class that alone counts; None if all do.
        """
        present, places = np.unique(classes, return_inverse=True)
        counts_for = np.full(len(present), 1 / len(present)) if label is None else 1.0 * (present == label)
        group = np.arange(len(classes)) if groups is None else np.unique(groups, return_inverse=True)[1]
        num_all = int(group.max()) + 1
        num_groups = np.bincount(np.unique(places * num_all + group) // num_all, minlength=len(present))
        if not counts_for.any() or (num_groups[counts_for > 0] < 2).any():
            return None
        counts = np.bincount(places).astype(np.float64)
        factors = counts_for / counts * np.sqrt(num_groups / np.maximum(num_groups - 1, 1))
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        members = csr_array((np.ones(len(places)), (places, np.arange(len(places)))))
        return cls(places, counts, members, factors[places], None if groups is None else (order, starts))

    def deviations(self, values: Floats) -> Floats:
        """Return what each image (or group) makes of the metric of each cell, [cells, images or groups].

        The product of two cells' is the covariance of their metrics over test sets.

        Args:
            values: What is averaged, [cells, n].
        """
        means = (self.members @ values.T / self.counts[:, None]).T
        of_images: Floats = (values - means[:, self.places]) * self.factors
        if self.groups is None:
            return of_images
        order, starts = self.groups
        of_groups: Floats = np.add.reduceat(of_images[:, order], starts, axis=1)
        return of_groups
