"""The models: a registry of the project's own, and every classification model of torchvision by its name.

Every ResNet of torchvision, ResNeXt and Wide ResNet among them, has the stem for CIFAR below 64 px, see ``_fit_stem``.

Initial weights come from torch's global generator, as ``torch.nn`` draws them: the caller seeds it.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol

import torch
from torch import Tensor, nn

# torchvision is imported where it is used: it takes seconds, and a command line that only names `convnet` need not pay.

_CIFAR_STEM_BELOW_PX = 64
_CONVNET_MIN_PX = 8


class ModelBuilder(Protocol):
    """Builds one model of the registry."""

    def __call__(self, *, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
        """A model from images [B, num_channels, image_size, image_size] to logits [B, num_classes]."""
        ...


def build_convnet(*, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """A small convolutional network for images of 8 to 64 px on CPUs, 0.24 million parameters.

    Four 3x3 convolutions (32, 64, 128, 128 channels), a halving with each of the first three, the mean over space, one
    linear layer. Pooling comes before the normalisation, as in airbench (KellerJordan/cifar10-airbench), which leaves
    it a quarter of the pixels. The third halving is there because it was cheaper and no worse: 3 epochs on 9,000
    CIFAR-10 images took 30 s of CPU time with it and 40 s without, at 42 % and 47 % test error (one seed each).

    Raises:
        ValueError: ``image_size`` below 8, which three halvings would reduce to nothing.
    """
    if image_size < _CONVNET_MIN_PX:
        raise ValueError(
            f"image_size={image_size} is too small for convnet: it needs at least {_CONVNET_MIN_PX} px. "
            "Set dataset.image_size."
        )
    return nn.Sequential(
        *_convolution(num_channels, 32, nn.MaxPool2d(2)),
        *_convolution(32, 64, nn.MaxPool2d(2)),
        *_convolution(64, 128, nn.MaxPool2d(2)),
        *_convolution(128, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, num_classes),
    )


def _convolution(num_in: int, num_out: int, *pooling: nn.Module) -> tuple[nn.Module, ...]:
    # No bias: the normalisation that follows would subtract it again.
    convolution = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
    return convolution, *pooling, nn.BatchNorm2d(num_out), nn.ReLU(inplace=True)


def build_resnet18(*, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """torchvision's ResNet-18 (He et al. 2016); below 64 px with the stem for CIFAR, see ``_fit_stem``."""
    from torchvision.models import resnet18

    return _fit_stem(resnet18(weights=None, num_classes=num_classes), num_channels, image_size)


def build_resnet50(*, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """torchvision's ResNet-50 (He et al. 2016); below 64 px with the stem for CIFAR, see ``_fit_stem``."""
    from torchvision.models import resnet50

    return _fit_stem(resnet50(weights=None, num_classes=num_classes), num_channels, image_size)


def _fit_stem(resnet: Any, num_channels: int, image_size: int) -> nn.Module:
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


MODELS: dict[str, ModelBuilder] = {
    "convnet": build_convnet,
    "resnet18": build_resnet18,
    "resnet50": build_resnet50,
}


def model_names() -> tuple[str, ...]:
    """Every name that ``build_model`` knows: the registry's first, then torchvision's other classification models."""
    import torchvision.models

    others = sorted(set(torchvision.models.list_models(module=torchvision.models)) - MODELS.keys())
    return (*MODELS, *others)


def is_model(name: str) -> bool:
    """Whether ``build_model`` knows ``name``; imports torchvision only if the registry does not."""
    return name in MODELS or name in model_names()


def build_model(name: str, *, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """A freshly initialised model in training mode, on the CPU, float32.

    Args:
        name: One of ``model_names()``.
        num_classes: Width of the logits, at least 2.
        num_channels: Channels of the images. torchvision's models that are not in ``MODELS`` take 3; one channel is
            repeated for them.
        image_size: Height and width of the images in pixels.

    Returns:
        A module from images [B, num_channels, image_size, image_size], floating, to logits [B, num_classes].

    Raises:
        ValueError: An unknown name, or images that the model cannot take.
    """
    if name in MODELS:
        return MODELS[name](num_classes=num_classes, num_channels=num_channels, image_size=image_size)
    if name not in model_names():
        raise ValueError(f"model={name!r} is not known; known are {', '.join(model_names())}.")
    if num_channels not in (1, 3):
        raise ValueError(f"num_channels={num_channels}: {name} takes 1 or 3. Use one of {', '.join(MODELS)}.")
    try:
        model = _torchvision_model(name, num_classes, image_size)
        _try_on_meta(model, image_size)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"{name} cannot take images of {image_size} px: {str(error).partition(chr(10))[0].rstrip('.')}. "
            f"Set dataset.image_size (224 suits all of torchvision's models) or use one of {', '.join(MODELS)}."
        ) from error
    return nn.Sequential(GreyToRgb(), model) if num_channels == 1 else model


class GreyToRgb(nn.Module):
    """Repeats the one channel of [B, 1, H, W] three times, without a copy."""

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1, H, W] to [B, 3, H, W], same dtype."""
        return images.expand(-1, 3, -1, -1)


def _torchvision_model(name: str, num_classes: int, image_size: int) -> nn.Module:
    from torchvision.models import ResNet, get_model

    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Auxiliary heads would make the output in training a tuple; init_weights silences a warning about its default.
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": image_size}
    elif name.startswith("maxvit_"):
        options = {"input_size": (image_size, image_size)}
    model: nn.Module = get_model(name, weights=None, num_classes=num_classes, **options)
    return _fit_stem(model, 3, image_size) if isinstance(model, ResNet) else model


def _try_on_meta(model: nn.Module, image_size: int) -> None:
    """Raises what the model raises for this size, without computing: shapes only, on a copy without storage."""
    shadow = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad():
        shadow(torch.empty(2, 3, image_size, image_size, device="meta"))
