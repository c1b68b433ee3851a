"""Augmentations that mix the samples of a batch, in plain PyTorch.

A new one is a frozen dataclass that inherits `Augmentation`, and one line in `AUGMENTATIONS`; the tests' one line is in
``tests/augment/test_contract.py``.
"""

from collections.abc import Callable

from augment.baselines import CutMix, Erm, MixUp
from augment.contract import Augmentation
from augment.weights import mixing_matrix, p_series_weights, sample_indices
from augment.zeta import ZetaMixup, mix

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "CutMix",
    "Erm",
    "MixUp",
    "ZetaMixup",
    "mix",
    "mixing_matrix",
    "p_series_weights",
    "sample_indices",
]

AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {
    "erm": Erm,
    "mixup": MixUp,
    "cutmix": CutMix,
    "zeta_mixup": ZetaMixup,
}
