"""Where images and labels are in what a training loop hands over: two tensors, or anything nested, as in torchvision.

torchvision's marked tensors are known once it is imported, and this module does not import it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # what torchvision's transforms take samples apart with

LabelsGetter = Callable[[Any], Any]


@dataclass(frozen=True)
class Parts:
    """A sample taken apart.

    Attributes:
        leaves: All that is in it.
        structure: How it is put together.
        images: Which of the leaves are batches of images or of videos.
        labels: Which is the labels.
    """

    leaves: list[Any]
    structure: Any
    images: tuple[int, ...]
    labels: int

    def put_together(self, images: list[Tensor], labels: Tensor) -> Any:
        """Return a sample like this one with other images and labels."""
        leaves = list(self.leaves)
        for place, image in zip(self.images, images, strict=True):
            leaves[place] = _marked_like(image, leaves[place])
        leaves[self.labels] = labels
        return pytree.tree_unflatten(leaves, self.structure)


def take_apart(sample: Any, labels_getter: LabelsGetter) -> Parts:
    """Find images and labels.

    Args:
        sample: Nested tuples, lists and dictionaries. Images are the tensors that torchvision has marked as images or
            videos; without any the first tensor that is not the labels.
        labels_getter: Returns the labels of `sample`.

    Raises:
        ValueError: There are no labels or no images, or there is something whose labels cannot be mixed.
    """
    leaves, structure = pytree.tree_flatten(sample)
    refused = [*_marked("Mask", "BoundingBoxes", "KeyPoints"), *_of_module("PIL.Image", "Image")]
    for leaf in leaves:
        if isinstance(leaf, tuple(refused)):
            raise ValueError(
                f"the sample holds a {type(leaf).__name__}: batches of images are allowed, as tensors. "
                "Take it out, or mix after the batch is put together."
            )
    labels = labels_getter(sample)
    places = [place for place, leaf in enumerate(leaves) if leaf is labels]
    if not isinstance(labels, Tensor) or not places:
        raise ValueError(
            f"labels are {type(labels).__name__}: a tensor of the sample is allowed. Change labels_getter, or put the "
            "batch together with torch.utils.data.default_collate."
        )
    tensors = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and place not in places]
    marked = [place for place in tensors if isinstance(leaves[place], _marked("Image", "Video"))]
    images = marked or tensors[:1]
    if not images:
        raise ValueError("the sample has no images: a tensor [B, C, H, W] beside the labels is allowed.")
    return Parts(leaves, structure, tuple(images), places[0])


def labels_of(sample: Any) -> Any:
    """Return the labels as torchvision finds them: the second of two, or what a dictionary has under ``label``.

    Raises:
        ValueError: They are not found.
    """
    found = sample[1] if isinstance(sample, tuple | list) and len(sample) > 1 else sample
    if isinstance(found, Tensor) and found is not sample:
        return found
    if isinstance(found, Mapping):
        words = [key for key in found if isinstance(key, str)]
        named = [key for key in words if key.lower() == "labels"] or [key for key in words if "label" in key.lower()]
        if named:
            return found[named[0]]
    raise ValueError(
        "no labels were found: images and labels, or a dictionary with a key labels, are allowed. Pass a labels_getter."
    )


def _marked(*names: str) -> tuple[type[Any], ...]:
    return _of_module("torchvision.tv_tensors", *names)


def _of_module(module: str, *names: str) -> tuple[type[Any], ...]:
    """Return classes of a module that somebody has imported; of one that nobody has, there can be no objects."""
    known = sys.modules.get(module)
    return tuple(getattr(known, name) for name in names if hasattr(known, name))


def _marked_like(image: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, _marked("Image", "Video")):
        return image
    wrapped: Tensor = sys.modules["torchvision.tv_tensors"].wrap(image, like=like)
    return wrapped


def plain(image: Tensor) -> Tensor:
    """Return a tensor without its mark."""
    return image.as_subclass(torch.Tensor)
