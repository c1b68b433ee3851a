"""The models: a registry of the project's own, and every classification model of torchvision by its name.

Initial weights come from torch's global generator, as ``torch.nn`` draws them: the caller seeds it.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Protocol

from torch import nn

from orchestrator.models.convnet import build_convnet
from orchestrator.models.resnets import build_resnet18, build_resnet50


class ModelBuilder(Protocol):
    """Builds one model of the registry."""

    def __call__(self, *, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
        """A model from images [B, num_channels, image_size, image_size] to logits [B, num_classes]."""
        ...


MODELS: dict[str, ModelBuilder] = {
    "convnet": build_convnet,
    "resnet18": build_resnet18,
    "resnet50": build_resnet50,
}


def model_names() -> tuple[str, ...]:
    """Every name that ``build_model`` knows: the registry's first, then torchvision's other classification models."""
    others = sorted(set(_torchvision().names()) - MODELS.keys())
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
        ValueError: An unknown name, or a ParameterError: images that the model cannot take.
    """
    if name in MODELS:
        return MODELS[name](num_classes=num_classes, num_channels=num_channels, image_size=image_size)
    if name not in model_names():
        raise ValueError(f"model={name!r} is not known; known are {', '.join(model_names())}.")
    build: ModelBuilder = partial(_torchvision().build, name)
    return build(num_classes=num_classes, num_channels=num_channels, image_size=image_size)


def _torchvision() -> ModuleType:
    # Seconds to import, which a command line that only names `convnet` need not pay.
    from orchestrator.models import torchvision

    return torchvision
