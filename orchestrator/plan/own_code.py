"""Whether networks and augmentations of somebody's own do what they are for: each is called once, on two images.

That is a forward pass on a CPU: milliseconds for small images, seconds for a large network of large ones. Ours, and
those of libraries, are tried by their own tests.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from augment import AUGMENTATIONS
from orchestrator.experiment import AugmentSpec, ModelSpec
from orchestrator.models import MODELS, Images
from orchestrator.plugins import Plugin, defined_at, described, place_of, plugin_of, said_of

# A mean of float32 over ten thousand classes is off by less.
_SUM_TOLERANCE = 1e-3


def try_network(model: ModelSpec, network: nn.Module, images: Images) -> None:
    """Have a network of a plug-in make logits of two images, in evaluation; one of ours is not tried.

    Raises:
        ValueError: It raises an error, or what it returns is not finite logits of each class.
    """
    plugin = plugin_of("model", model.name)
    if plugin is None:
        return
    was_training = network.training
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            logits = network.eval()(_some_images(2, images))
    except Exception as error:
        where = _place_in(plugin, error, MODELS[model.name])
        raise ValueError(f"{_named(plugin, model.name)}, called on 2 images: {where}") from error
    finally:
        network.train(was_training)
    if problem := _wrong_logits(logits, images.num_classes):
        forward = type(network).forward
        is_torchs = forward.__module__.partition(".")[0] == "torch"
        where = defined_at(MODELS[model.name] if is_torchs else forward)
        what = f"{_named(plugin, model.name)}, called on 2 images: {where}"
        raise ValueError(f"{what}: it returns {problem}; {images.num_classes} finite logits of each image are needed.")


def try_augmentation(augment: AugmentSpec, images: Images) -> None:
    """Have an augmentation of a plug-in mix a few images; one of ours is not tried.

    Raises:
        ValueError: It raises an error, or what it returns are no images and soft labels like those given.
    """
    plugin = plugin_of("augment", augment.name)
    if plugin is None:
        return
    alone = augment.model_copy(update={"probability": None, "combine": None})
    generator = torch.Generator().manual_seed(0)
    try:
        augmentation = alone.build()
        given = _some_images(max(2, augmentation.min_batch_size), images)
        labels = torch.arange(len(given)) % images.num_classes
        targets = torch.nn.functional.one_hot(labels, images.num_classes).float()
        draw = augmentation.draw(given.shape, generator=generator)
        mixed: object = augmentation.apply(given.clone(), targets.clone(), draw)
    except Exception as error:
        where = _place_in(plugin, error, AUGMENTATIONS[augment.name])
        raise ValueError(f"{_named(plugin, augment.name)}, called on a few images: {where}") from error
    if problem := _wrong_mix(mixed, given, targets):
        where = defined_at(AUGMENTATIONS[augment.name].apply)
        what = f"{_named(plugin, augment.name)}, called on {len(given)} images: {where}"
        raise ValueError(f"{what}: it returns {problem}; images and soft labels like those given are needed.")


def _place_in(plugin: Plugin, error: Exception, made_by: object) -> str:
    """Return where in a plug-in an error came through; where it did not, as in layers of torch, what has made them."""
    where = place_of(error)
    if any(str(source.file) in where for source in plugin.sources):
        return where
    return f"{defined_at(made_by)}: {said_of(error)}"


def _some_images(number: int, images: Images) -> Tensor:
    side = images.image_size
    return torch.rand(number, images.num_channels, side, side, generator=torch.Generator().manual_seed(0))


def _named(plugin: Plugin, name: str) -> str:
    return f"{name} of plug-in {plugin.module}"


def _wrong_logits(logits: object, num_classes: int) -> str:
    """Return what is wrong with the logits of two images; empty if nothing is."""
    if not isinstance(logits, Tensor):
        return described(logits)
    if list(logits.shape) != [2, num_classes] or not logits.is_floating_point():
        return _shown(logits)
    return "" if logits.isfinite().all() else "NaN or infinity"


def _wrong_mix(mixed: object, images: Tensor, targets: Tensor) -> str:
    """Return what is wrong with mixed images and their labels; empty if nothing is."""
    if not isinstance(mixed, tuple) or len(mixed) != 2:
        return f"{described(mixed)}, no pair"
    pair: tuple[Any, Any] = mixed
    for what, found, given in (("images", pair[0], images), ("labels", pair[1], targets)):
        if not isinstance(found, Tensor):
            return f"{described(found)} for the {what}"
        if found.shape != given.shape or found.dtype != given.dtype:
            return f"{_shown(found)} for the {what}, which were {_shown(given)}"
        if not found.isfinite().all():
            return f"NaN or infinity in the {what}"
    sums = pair[1].sum(dim=1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=_SUM_TOLERANCE):
        return f"labels that sum to {sums.min():.3g} to {sums.max():.3g}, not to 1"
    return ""


def _shown(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
