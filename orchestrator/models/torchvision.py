"""Every classification model of torchvision by its name, checked to take the images it is built for."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models import ResNet, get_model

from augment import ParameterError
from orchestrator.errors import first_line
from orchestrator.models.grey import behind_grey
from orchestrator.models.resnets import fit_stem

# What takes images of any size and number of channels.
_OURS = "convnet, resnet18, resnet50"


def names() -> list[str]:
    """Return the names of torchvision's classification models."""
    return list(models.list_models(module=models))


def build(name: str, *, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """Return a model of torchvision without pretrained weights; one channel is repeated three times.

    Its ResNets, ResNeXt and Wide ResNet among them, have the stem for CIFAR below 64 px, see `fit_stem`.

    Raises:
        ParameterError: Images that the model cannot take.
    """
    if num_channels not in (1, 3):
        raise ParameterError("num_channels", num_channels, f"1 or 3 for {name}", f"Use one of {_OURS}.")
    try:
        model = _torchvision_model(name, num_classes, image_size)
        try_on_meta(model, image_size)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ParameterError(
            "image_size",
            image_size,
            f"a size that {name} takes (it says: {first_line(error).rstrip('.')})",
            f"Set dataset.image_size (224 suits all of torchvision's models) or use one of {_OURS}.",
        ) from error
    return behind_grey(model) if num_channels == 1 else model


def _torchvision_model(name: str, num_classes: int, image_size: int) -> nn.Module:
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Auxiliary heads would make the output in training a tuple; init_weights silences a warning about its default.
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": image_size}
    elif name.startswith("maxvit_"):
        options = {"input_size": (image_size, image_size)}
    model: nn.Module = get_model(name, weights=None, num_classes=num_classes, **options)
    return fit_stem(model, 3, image_size) if isinstance(model, ResNet) else model


def try_on_meta(model: nn.Module, image_size: int) -> None:
    """Raises what the model raises for this size, without computing: shapes only, on a copy without storage."""
    shadow = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad():
        shadow(torch.empty(2, 3, image_size, image_size, device="meta"))
