"""Augmentations that mix the samples of a batch: on a GPU with a Triton kernel, elsewhere in plain PyTorch.

A new one is a frozen dataclass that inherits `Augmentation` (or `Blend`, if it blends whole images), and one line in
`AUGMENTATIONS`; the tests' one line is in ``tests/augment/test_contract.py``. What is done to each image before that is
one that inherits `SingleImages`, and a line in `SINGLE_IMAGES`.

`augment.modules` has them as modules, in place of those of torchvision and timm.
"""

from augment.baselines import Dirichlet, Erm, MixUp, MixUpPSeries
from augment.blend import Blend, BlendDraw
from augment.colors import ColorDraw, ColorJitter
from augment.contract import (
    Augmentation,
    Per,
    can_be_held,
    check_parameter,
    check_probability,
    is_unsaid,
    one_hot,
    parameters,
)
from augment.crops import PaddingMode, RandomResizedCrop, Region, center_crop
from augment.cutmix import CutMix, CutMixZetaMixup
from augment.erasing import RandomErasing
from augment.errors import ParameterError
from augment.mixing import BACKENDS, Backend, backend_on, check_backend, mix, mix_pixels
from augment.pixels import Normalization, Window, cut, draw_window
from augment.policies import AutoAugment, RandAugment, TrivialAugment
from augment.single import Combined, SingleImages
from augment.sometimes import Sometimes
from augment.transforms import TrainTransform, TransformDraw
from augment.unmixed import without_mixing
from augment.weights import gamma_min, gamma_of_lam, mixing_matrix, p_series_weights, sample_indices
from augment.zeta import ZetaMixup, ZetaMixupRange

__all__ = [
    "AUGMENTATIONS",
    "BACKENDS",
    "SINGLE_IMAGES",
    "Augmentation",
    "AutoAugment",
    "Backend",
    "Blend",
    "BlendDraw",
    "ColorDraw",
    "ColorJitter",
    "Combined",
    "CutMix",
    "CutMixZetaMixup",
    "Dirichlet",
    "Erm",
    "MixUp",
    "MixUpPSeries",
    "Normalization",
    "PaddingMode",
    "ParameterError",
    "Per",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Region",
    "SingleImages",
    "Sometimes",
    "TrainTransform",
    "TransformDraw",
    "TrivialAugment",
    "Window",
    "ZetaMixup",
    "ZetaMixupRange",
    "backend_on",
    "can_be_held",
    "center_crop",
    "check_backend",
    "check_parameter",
    "check_probability",
    "cut",
    "draw_window",
    "gamma_min",
    "gamma_of_lam",
    "is_unsaid",
    "mix",
    "mix_pixels",
    "mixing_matrix",
    "one_hot",
    "p_series_weights",
    "parameters",
    "sample_indices",
    "without_mixing",
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
SINGLE_IMAGES: dict[str, type[SingleImages]] = {
    "trivial_augment": TrivialAugment,
    "rand_augment": RandAugment,
    "auto_augment": AutoAugment,
    "random_erasing": RandomErasing,
}
