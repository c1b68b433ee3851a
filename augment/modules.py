"""The augmentations as modules for anybody's training loop, in place of torchvision's ``v2.MixUp`` or timm's ``Mixup``.

``augment.MixUp`` is a setting, a frozen value; ``augment.modules.MixUp`` is what applies one to batches::

    mixup = MixUp(alpha=0.2, num_classes=10)
    images, targets = mixup(images, labels)

    loader = DataLoader(data, collate_fn=lambda samples: mixup(*default_collate(samples)))

Random numbers follow from ``torch.manual_seed``, in a worker of a `DataLoader` from the worker's own seed.
"""

from __future__ import annotations

from typing import Literal

from augment import baselines, cutmix, zeta
from augment.mixing import Backend
from augment.mixing_module import Getter, Mixing, MixingOfMany, NumMixed, at_most

__all__ = [
    "CutMix",
    "CutMixZetaMixup",
    "Dirichlet",
    "Erm",
    "MixUp",
    "MixUpPSeries",
    "Mixing",
    "ZetaMixup",
    "ZetaMixupRange",
]

Per = Literal["batch", "sample"]


class Erm(Mixing):
    """Mixes nothing: integers become one-hot, so that a loop is the same with and without mixing. See `Mixing`."""

    def __init__(self, *, num_classes: int | None = None, labels_getter: Getter = "default") -> None:
        super().__init__(baselines.Erm(), num_classes=num_classes, labels_getter=labels_getter)


class MixUp(Mixing):
    """MixUp, in place of torchvision's ``v2.MixUp``; see `augment.MixUp` and `Mixing`."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        per: Per = "batch",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = baselines.MixUp(alpha, per, backend=backend)
        super().__init__(augmentation, num_classes=num_classes, probability=probability, labels_getter=labels_getter)


class CutMix(Mixing):
    """CutMix, in place of torchvision's ``v2.CutMix``; see `augment.CutMix` and `Mixing`."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        per: Per = "batch",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = cutmix.CutMix(alpha, per, backend=backend)
        super().__init__(augmentation, num_classes=num_classes, probability=probability, labels_getter=labels_getter)


class ZetaMixup(MixingOfMany):
    """ζ-mixup; see `augment.ZetaMixup` and `Mixing`. ``num_mixed="batch"`` mixes all samples of a batch."""

    def __init__(
        self,
        gamma: float = 2.8,
        num_mixed: NumMixed = "batch",
        *,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = zeta.ZetaMixup(gamma, at_most(num_mixed), backend=backend)
        given = {"num_classes": num_classes, "probability": probability, "labels_getter": labels_getter}
        super().__init__(augmentation, num_mixed, **given)


class ZetaMixupRange(MixingOfMany):
    """ζ-mixup with a γ for each batch; see `augment.ZetaMixupRange` and `Mixing`."""

    def __init__(
        self,
        gamma_low: float,
        gamma_high: float,
        num_mixed: NumMixed = "batch",
        *,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = zeta.ZetaMixupRange(gamma_low, gamma_high, at_most(num_mixed), backend=backend)
        given = {"num_classes": num_classes, "probability": probability, "labels_getter": labels_getter}
        super().__init__(augmentation, num_mixed, **given)


class CutMixZetaMixup(MixingOfMany):
    """CutMix or ζ-mixup, by the toss of a coin; see `augment.CutMixZetaMixup` and `Mixing`."""

    def __init__(
        self,
        gamma: float = 2.8,
        num_mixed: NumMixed = "batch",
        *,
        alpha: float = 1.0,
        cutmix_prob: float = 0.5,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = cutmix.CutMixZetaMixup(gamma, at_most(num_mixed), alpha, cutmix_prob, backend=backend)
        given = {"num_classes": num_classes, "probability": probability, "labels_getter": labels_getter}
        super().__init__(augmentation, num_mixed, **given)


class MixUpPSeries(Mixing):
    """MixUp with the weights of a p-series; see `augment.MixUpPSeries` and `Mixing`."""

    def __init__(
        self,
        gamma: float,
        *,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = baselines.MixUpPSeries(gamma, backend=backend)
        super().__init__(augmentation, num_classes=num_classes, probability=probability, labels_getter=labels_getter)


class Dirichlet(MixingOfMany):
    """Weights from a Dirichlet distribution; see `augment.Dirichlet` and `Mixing`."""

    def __init__(
        self,
        num_mixed: NumMixed = "batch",
        alpha: float = 1.0,
        *,
        num_classes: int | None = None,
        labels_getter: Getter = "default",
        probability: float = 1.0,
        backend: Backend = "auto",
    ) -> None:
        augmentation = baselines.Dirichlet(at_most(num_mixed), alpha, backend=backend)
        given = {"num_classes": num_classes, "probability": probability, "labels_getter": labels_getter}
        super().__init__(augmentation, num_mixed, **given)
