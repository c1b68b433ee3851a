"""What an augmentation leaves undone in epochs that are not mixed."""

from __future__ import annotations

from dataclasses import replace

from augment.baselines import Erm
from augment.contract import Augmentation
from augment.single import Combined


def without_mixing(augmentation: Augmentation) -> Augmentation:
    """Return what is left of `augmentation` when it mixes nothing: what it does to each image on its own, if it does.

    Targets are one-hot then. One that does not mix is returned as it is.
    """
    if not augmentation.mixes:
        return augmentation
    if isinstance(augmentation, Combined):
        return replace(augmentation, mixing=without_mixing(augmentation.mixing))
    return Erm(backend=augmentation.backend)
