"""Networks that begin with weights of before: built as those were, loaded, with a head for the classes at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator.errors import UserError, first_line
from orchestrator.models.fit import Fit, fit_of
from orchestrator.models.grey import behind_grey, inner_network
from orchestrator.models.heads import head_of
from orchestrator.models.registry import build_model
from orchestrator.models.resnets import SMALL_BELOW_PX, has_large_stem, is_resnet, take_stem_of
from orchestrator.models.source import BY_HASH, Source
from orchestrator.models.state_files import WeightsRead, named_like, read_weights

# What torchvision's GoogLeNet and Inception have for training alone, and this project leaves out.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# The attribute by which these two normalise anew what they are given.
_SCALES_INPUT = "transform_input"


@dataclass(frozen=True)
class Images:
    """What a network is given, and how many classes it tells apart.

    Attributes:
        num_classes: Width of the logits.
        num_channels: Of the images: 1 or 3.
        image_size: Their height and width in pixels.
    """

    num_classes: int
    num_channels: int
    image_size: int


def pretrained_network(
    name: str, options: Mapping[str, Any], source: Source, file: Path, images: Images
) -> tuple[nn.Module, Fit]:
    """Return a network with the weights of a file, and what it took of them.

    Its head is new where the weights have another number of classes, or none. Its stem is that of the weights, and so
    is the number of channels that it takes: one channel is repeated for weights that were made for three.

    Args:
        name: Of the network, as `build_model` knows it.
        options: Of the network.
        source: Where the weights come from.
        file: Where they lie now.
        images: What it is for.

    Raises:
        UserError: The file cannot be read, or the weights are those of another network.
        ValueError: An unknown name, or a ParameterError: images or options that the model cannot take.
    """
    source.check(file)
    read = named_like(read_weights(file), lambda: _names_in(name, options, images))
    try:
        tensors = source.adapted(read.tensors, images.image_size)
    except (RuntimeError, KeyError) as error:
        raise UserError(
            f"{file}: these are not the weights {source.name} of {name} ({first_line(error)})",
            remedy="remove the file, and have it fetched anew: zetasweep run FILE --download",
        ) from error
    network = _built_like(name, options, source.name, tensors, images)
    inner = inner_network(network)
    own = inner.state_dict()
    found = fit_of(tensors, own, head_of(inner), auxiliary=_AUXILIARY)
    if found.unusable and not (found.missing or found.unknown or found.reshaped):
        raise UserError(
            f"{file}: {found.misfits}",
            allowed="dense tensors of finite floating-point numbers",
            remedy="save the state dict of the network as it was trained: torch.save(network.state_dict(), PATH)",
        )
    if not found.fits:
        raise UserError(
            f"{file}: these are not the weights of {name}: {found.misfits}",
            remedy="name the network that they were trained in, with its options, or weights of this one",
        )
    inner.load_state_dict({**own, **{key: tensors[key] for key in found.taken}})
    remarks = [f"of the file {read.unwrapped}"] if read.unwrapped else []
    if inner is not network:
        remarks.append("the one channel of the images is repeated three times")
    warnings = filter(None, [_of_small_images(inner, source, images.image_size), _of_scaled_inputs(inner, source)])
    return network, replace(found, remarks=tuple(remarks), warning="; ".join(warnings))


def rebuilt_network(
    name: str, options: Mapping[str, Any], weights: str, state: Mapping[str, Tensor], images: Images
) -> nn.Module:
    """Return the network that `pretrained_network` returned at the time, freshly initialised: as its state says.

    Args:
        name: As there.
        options: As there.
        weights: The name of the weights.
        state: Of the network, whatever it has learnt since.
        images: As there.

    Raises:
        ValueError: See `build_model`.
    """
    read = named_like(WeightsRead(dict(state)), lambda: _names_in(name, options, images))
    return _built_like(name, options, weights, read.tensors, images)


def _built_like(
    name: str, options: Mapping[str, Any], weights: str, tensors: Mapping[str, Tensor], images: Images
) -> nn.Module:
    """Return a fresh network with the stem and for the channels that `tensors` have."""
    sizes = {"num_classes": images.num_classes, "image_size": images.image_size}
    network = build_model(name, num_channels=images.num_channels, **sizes, **options)
    repeats = inner_network(network) is not network
    if repeats or (images.num_channels == 1 and _channels_of(network, tensors) == 3):
        repeats = True
        network = build_model(name, num_channels=3, **sizes, **options)
    if is_resnet(network) and (first := tensors.get("conv1.weight")) is not None and first.dim() == 4:
        take_stem_of(network, first)
    if not weights.startswith(BY_HASH) and hasattr(network, _SCALES_INPUT):
        # GoogLeNet's and Inception's were ported from networks with another normalisation, which they have inside.
        setattr(network, _SCALES_INPUT, True)
    return behind_grey(network) if repeats else network


def _channels_of(network: nn.Module, tensors: Mapping[str, Tensor]) -> int | None:
    """Return how many channels the first convolution of a network has in `tensors`; None if it is not there."""
    convolutions = (name for name, parameter in network.named_parameters() if parameter.dim() == 4)
    first = tensors.get(next(convolutions, ""))
    return first.shape[1] if first is not None and first.dim() == 4 else None


def _names_in(name: str, options: Mapping[str, Any], images: Images) -> list[str]:
    """Return what a network calls its tensors; nothing is drawn from torch's generator for it."""
    with torch.random.fork_rng(devices=[]):
        return list(inner_network(build_model(name, **vars(images), **options)).state_dict())


def _of_small_images(network: nn.Module, source: Source, image_size: int) -> str:
    """Return a warning of images that are small for the stem that the weights have; empty if they are not."""
    if image_size >= SMALL_BELOW_PX:
        return ""
    if is_resnet(network):
        if not has_large_stem(network):
            return ""
        what = f"its stem stays as it is in the weights, not that for images below {SMALL_BELOW_PX} px"
    elif source.name.startswith(BY_HASH):
        return ""
    else:
        what = "its weights were made for larger ones"
    return f"images of {image_size} px are small for it: {what}. Raise dataset.image_size, or train from scratch"


def _of_scaled_inputs(network: nn.Module, source: Source) -> str:
    """Return a warning of a file whose network may have normalised its images anew; empty if it is none of these."""
    if not source.name.startswith(BY_HASH) or not hasattr(network, _SCALES_INPUT):
        return ""
    return (
        f"a network that began with torchvision's weights normalises its images anew ({_SCALES_INPUT}); the file does "
        "not say so, and here none does. If it is one, the first layers see other numbers than they were trained with: "
        "name torchvision's weights in place of the file"
    )
