"""torchvision's ResNets, with the stem for CIFAR below 64 px."""

from __future__ import annotations

from typing import Any

from torch import nn

_CIFAR_STEM_BELOW_PX = 64


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
    if image_size < _CIFAR_STEM_BELOW_PX:
        stem = nn.Conv2d(num_channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
        resnet.maxpool = nn.Identity()
    elif num_channels != 3:
        stem = nn.Conv2d(num_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    else:
        return resnet  # type: ignore[no-any-return]
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as torchvision initialises its own
    resnet.conv1 = stem
    return resnet  # type: ignore[no-any-return]
