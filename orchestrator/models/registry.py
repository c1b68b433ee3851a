"""The models: a registry of the project's own, every classification model of torchvision by its name, and timm's.

Initial weights come from torch's global generator, as ``torch.nn`` draws them: the caller seeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Protocol

from torch import nn

from orchestrator.models.convnet import build_convnet
from orchestrator.models.names import is_installed, is_timm
from orchestrator.models.options import (
    ModelOption,
    check_options,
    describe_options,
    read_options,
    unknown_remedy,
    unsayable_options,
)
from orchestrator.models.resnets import build_resnet18, build_resnet50


class ModelBuilder(Protocol):
    """Builds one model of the registry; what else it takes by keyword are the options of the model."""

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
    """Whether ``build_model`` knows ``name``; imports torchvision or timm only if the registry does not."""
    if is_timm(name):
        return is_installed() and name in timm_names()
    return name in MODELS or name in model_names()


def timm_names() -> list[str]:
    """Every name of timm's that ``build_model`` knows.

    Raises:
        UserError: timm is not installed.
    """
    found: list[str] = _timm().names()
    return found


def model_options(name: str) -> dict[str, ModelOption]:
    """The options of a model that ``build_model`` knows; torchvision's have none."""
    return read_options(MODELS[name]) if name in MODELS else {}


def describe_unknown(name: str, option: str) -> tuple[str, str]:
    """What is allowed in place of an option that a model does not have, and the remedy."""
    known = model_options(name)
    hidden = unsayable_options(MODELS[name]) if name in MODELS else {}
    if option not in hidden:
        return describe_options(name, known), unknown_remedy(option, known)
    told = f"{option} is annotated {hidden[option]}, which no experiment file can say"
    return f"{describe_options(name, known)}; {told}", f"Annotate {option} as bool, int, float, str or Literal."


def build_model(name: str, *, num_classes: int, num_channels: int, image_size: int, **options: Any) -> nn.Module:
    """A freshly initialised model in training mode, on the CPU, float32.

    Args:
        name: One of ``model_names()``, or with ``timm/`` before it one of timm's.
        num_classes: Width of the logits, at least 2.
        num_channels: Channels of the images. timm's models, and torchvision's that are not in ``MODELS``, take 3:
            one channel is repeated for them.
        image_size: Height and width of the images in pixels.
        options: Those of the model, see ``model_options``; what is left out has its default.

    Returns:
        A module from images [B, num_channels, image_size, image_size], floating, to logits [B, num_classes].

    Raises:
        ValueError: An unknown name, or a ParameterError: images or options that the model cannot take.
    """
    if not is_model(name):
        raise ValueError(f"model={name!r} is not known; known are {', '.join(model_names())}.")
    build: Callable[..., nn.Module] = MODELS[name] if name in MODELS else partial(_library(name).build, name)
    checked = check_options(name, model_options(name), options)
    return build(num_classes=num_classes, num_channels=num_channels, image_size=image_size, **checked)


def _library(name: str) -> ModuleType:
    return _timm() if is_timm(name) else _torchvision()


def _timm() -> ModuleType:
    from orchestrator.models import timm  # seconds to import, and not installed everywhere

    return timm


def _torchvision() -> ModuleType:
    # Seconds to import, which a command line that only names `convnet` need not pay.
    from orchestrator.models import torchvision

    return torchvision
