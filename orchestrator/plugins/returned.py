"""What code of somebody's own returns, looked at where it enters: a network, or a data set before it is read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from orchestrator.amounts import some
from orchestrator.data import ArraySamples, DatasetInfo, FileSamples, Source
from orchestrator.errors import DataError
from orchestrator.plugins.own_errors import defined_at
from orchestrator.plugins.plugin import Plugin


def network_from(build: Callable[..., Any], name: str, plugin: Plugin) -> Callable[..., nn.Module]:
    """Return `build` with a ValueError where it returns no network."""

    @functools.wraps(build)
    def wrapped(*arguments: Any, **options: Any) -> nn.Module:
        network = build(*arguments, **options)
        if isinstance(network, nn.Module):
            return network
        raise ValueError(
            f"{name} of plug-in {plugin.module}: {defined_at(build)}: it returns {described(network)}, no network; "
            "have it return the torch.nn.Module."
        )

    return wrapped


def source_from(info: DatasetInfo, name: str, plugin: Plugin) -> Callable[..., Source]:
    """Return the function of a data set with a DataError where it returns what cannot be trained on."""

    @functools.wraps(info.open)
    def wrapped(*arguments: Any, **options: Any) -> Source:
        source = info.open(*arguments, **options)
        if problem := next(_problems(source, info), None):
            raise DataError(
                f"{name} of plug-in {plugin.module}: {defined_at(info.open)}: {problem}",
                remedy="mend it; what is expected is in the docstrings of orchestrator.data.Source and Samples",
            )
        return source

    return wrapped


def described(value: object) -> str:
    """Return a value of a wrong type in a few words."""
    return "None" if value is None else f"a {type(value).__name__}"


def _problems(source: object, info: DatasetInfo) -> Iterator[str]:
    """Yield what is wrong with what a function returned for a data set, worst first."""
    if not isinstance(source, Source):
        yield f"it returns {described(source)}, no orchestrator.data.Source"
        return
    names = source.class_names
    are_texts = isinstance(names, tuple | list) and all(isinstance(each, str) for each in names)
    if not are_texts or len(set(names)) < max(2, len(names)):
        yield f"class_names are {names!r}: a tuple of two or more different texts is needed"
        return
    if info.num_classes not in (None, len(names)):
        yield f"it has {len(names)} classes ({some(list(names))}), and DatasetInfo says num_classes={info.num_classes}"
    for part, samples in (("train", source.train), ("test", source.test), *source.parts.items()):
        if lacks := [each for each in ("ids", "labels", "groups", "shape", "read") if not hasattr(samples, each)]:
            yield f"{part} is {described(samples)}, which lacks {', '.join(lacks)}"
            return
    for part, samples in source.parts.items():
        yield from _of_part(part, samples, len(names))
    ids = [each for samples in source.parts.values() for each in samples.ids]
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = [each for each in ids if each in seen or seen.add(each)]  # type: ignore[func-returns-value]
        yield f"{len(ids) - len(seen)} ids stand there more than once, {some(sorted(set(twice)))}: splits go by them"
    for part, samples in source.parts.items():
        yield from _of_images(part, samples, info)


def _of_part(part: str, samples: Any, num_classes: int) -> Iterator[str]:
    """Yield what is wrong with names, labels and groups of a part."""
    labels = samples.labels
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        shape = f" of {labels.dtype} {list(labels.shape)}" if hasattr(labels, "dtype") else ""
        yield f"labels of {part} are {described(labels)}{shape}: a NumPy array of int64 [n] is needed"
        return
    for what, each in (("ids", samples.ids), ("groups", samples.groups)):
        if each is not None and len(each) != len(labels):
            yield f"{part} has {len(each)} {what} and {len(labels)} labels"
        elif each is not None and not all(isinstance(name, str) for name in each):
            yield f"{what} of {part} are not all texts"
    if not len(labels):
        yield f"{part} has no images"
    elif labels.min() < 0 or labels.max() >= num_classes:
        yield (
            f"labels of {part} reach from {labels.min()} to {labels.max()}: of {num_classes} classes 0 to "
            f"{num_classes - 1} are possible"
        )


def _of_images(part: str, samples: Any, info: DatasetInfo) -> Iterator[str]:
    """Yield what is wrong with the images of a part, as far as that is seen without decoding files."""
    if isinstance(samples, FileSamples) or not len(samples.labels):
        return
    if isinstance(samples, ArraySamples):
        images: object = samples.images
        if isinstance(images, torch.Tensor) and len(images) != len(samples.labels):
            yield f"{part} has {len(images)} images and {len(samples.labels)} labels"
    elif hasattr(samples, "unpacked"):
        return
    else:
        images = samples.read(np.zeros(1, dtype=np.int64), None)
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8 or images.dim() != 4:
        shape = f" of {images.dtype} {list(images.shape)}" if isinstance(images, torch.Tensor) else ""
        yield f"images of {part} are {described(images)}{shape}: a tensor of torch.uint8 [n, C, S, S] is needed"
        return
    channels, height, width = images.shape[1:]
    if channels not in (1, 3):
        yield f"images of {part} have {channels} channels: 1 or 3 are possible"
    if height != width:
        yield f"images of {part} are {height} x {width} px: they must be square"
    if info.image_shape is not None and tuple(info.image_shape) != (channels, height, width):
        yield f"images of {part} are {[channels, height, width]}, and DatasetInfo says {list(info.image_shape)}"
