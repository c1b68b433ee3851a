"""torchvision's ResNets, with the stem for CIFAR below 64 px."""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor, nn

SMALL_BELOW_PX = 64


def build_resnet18(*, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """torchvision's ResNet-18 (He et al. 2016); below 64 px with the stem for CIFAR, see ``fit_stem``."""
    from torchvision.models import resnet18  # seconds to import: see `orchestrator.models.registry`

    return fit_stem(resnet18(weights=None, num_classes=num_classes), num_channels, image_size)


def build_resnet50(*, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """torchvision's ResNet-50 (He et al. 2016); below 64 px with the stem for CIFAR, see ``fit_stem``."""
    from torchvision.models import resnet50  # seconds to import: see `orchestrator.models.registry`

    return fit_stem(resnet50(weights=None, num_classes=num_classes), num_channels, image_size)


def fit_stem(resnet: Any, num_channels: int, image_size: int) -> nn.Module:
    """Replaces the first convolution: ``num_channels`` in, and below 64 px 3x3 with stride 1 and no max-pooling.

    torchvision's stem divides the resolution by 4 at once, which leaves a 32 px image 1 px in the last stage. The
    replacement is the one that published CIFAR results with these models use.
    """
    if image_size < SMALL_BELOW_PX:
        stem = _small_stem(num_channels)
        resnet.maxpool = nn.Identity()
    elif num_channels != 3:
        stem = _large_stem(num_channels)
    else:
        return resnet  # type: ignore[no-any-return]
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as torchvision initialises its own
    resnet.conv1 = stem
    return resnet  # type: ignore[no-any-return]


def take_stem_of(resnet: Any, first: Tensor) -> None:
    """Replace the stem of a ResNet by the one that weights were made with, whatever the size of the images is.

    Args:
        resnet: One of torchvision's, with either stem.
        first: The weights of its first convolution: ``[64, C, 3, 3]`` of the stem for CIFAR, ``[64, C, 7, 7]`` of
            torchvision's. With any other shape nothing is replaced.
    """
    side = tuple(first.shape[2:])
    if side == (7, 7) and not has_large_stem(resnet):
        resnet.conv1 = _large_stem(first.shape[1])
        resnet.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    elif side == (3, 3) and has_large_stem(resnet):
        resnet.conv1 = _small_stem(first.shape[1])
        resnet.maxpool = nn.Identity()


def is_resnet(network: nn.Module) -> bool:
    """Whether a network is one of torchvision's ResNets, ResNeXt and Wide ResNet among them."""
    # As long as nobody has imported torchvision, which takes seconds, there is none.
    loaded = sys.modules.get("torchvision.models")
    return loaded is not None and isinstance(network, loaded.ResNet)


def has_large_stem(resnet: Any) -> bool:
    """Whether a ResNet has torchvision's stem, which divides the resolution by 4."""
    return bool(resnet.conv1.kernel_size == (7, 7))


def _small_stem(num_channels: int) -> nn.Conv2d:
    return nn.Conv2d(num_channels, 64, kernel_size=3, stride=1, padding=1, bias=False)


def _large_stem(num_channels: int) -> nn.Conv2d:
    return nn.Conv2d(num_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
