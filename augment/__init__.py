"""Augmentations that mix the samples of a batch: on a GPU with a Triton kernel, elsewhere in plain PyTorch.

A new one is a frozen dataclass that inherits `Augmentation` (or `Blend`, if it blends whole images), and one line in
`AUGMENTATIONS`; the tests' one line is in ``tests/augment/test_contract.py``.
"""

from augment.baselines import Dirichlet, Erm, MixUp, MixUpPSeries
from augment.blend import Blend, BlendDraw
from augment.colors import ColorDraw, ColorJitter
from augment.contract import Augmentation, check_parameter, one_hot, parameters
from augment.crops import PaddingMode, RandomResizedCrop, Region, center_crop
from augment.cutmix import CutMix, CutMixZetaMixup
from augment.errors import ParameterError
from augment.mixing import BACKENDS, Backend, backend_on, check_backend, mix, mix_pixels
from augment.pixels import Normalization, Window, cut, draw_window
from augment.transforms import TrainTransform, TransformDraw
from augment.weights import gamma_min, gamma_of_lam, mixing_matrix, p_series_weights, sample_indices
from augment.zeta import ZetaMixup, ZetaMixupRange

__all__ = [
    "AUGMENTATIONS",
    "BACKENDS",
    "Augmentation",
    "Backend",
    "Blend",
    "BlendDraw",
    "ColorDraw",
    "ColorJitter",
    "CutMix",
    "CutMixZetaMixup",
    "Dirichlet",
    "Erm",
    "MixUp",
    "MixUpPSeries",
    "Normalization",
    "PaddingMode",
    "ParameterError",
    "RandomResizedCrop",
    "Region",
    "TrainTransform",
    "TransformDraw",
    "Window",
    "ZetaMixup",
    "ZetaMixupRange",
    "backend_on",
    "center_crop",
    "check_backend",
    "check_parameter",
    "cut",
    "draw_window",
    "gamma_min",
    "gamma_of_lam",
    "mix",
    "mix_pixels",
    "mixing_matrix",
    "one_hot",
    "p_series_weights",
    "parameters",
    "sample_indices",
]

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "erm": Erm,
    "mixup": MixUp,
    "cutmix": CutMix,
    "zeta_mixup": ZetaMixup,
    "zeta_mixup_range": ZetaMixupRange,
    "cutmix_zeta_mixup": CutMixZetaMixup,
    "mixup_pseries": MixUpPSeries,
    "dirichlet": Dirichlet,
}
