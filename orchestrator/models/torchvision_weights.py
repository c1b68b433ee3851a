"""The weights that torchvision publishes, by its names, in the folder where ``torch.hub`` keeps what it fetches."""

from __future__ import annotations

import os
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import torch.hub
from torch import Tensor
from torchvision.models import get_model_weights
from torchvision.models.vision_transformer import interpolate_embeddings

from orchestrator.models.source import Source
from orchestrator.models.torchvision import names

# torchvision renames them when it loads the oldest files, whose names have a dot too many.
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")
_POSITIONS = "encoder.pos_embedding"


def weight_names(model: str) -> list[str]:
    """Return what torchvision calls the weights of a model, e.g. ``IMAGENET1K_V1``; none of one that it has not."""
    return list(get_model_weights(model).__members__) if model in names() else []


def published(model: str, name: str) -> Source:
    """Return torchvision's weights of that name; ``DEFAULT`` is another name of the newest.

    Raises:
        ValueError: There are no such.
    """
    if name not in weight_names(model):
        raise ValueError(f"weights={name!r} of {model} are not known; known are {', '.join(weight_names(model))}.")
    weights = get_model_weights(model)[name]
    shown = weights.transforms()
    place = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(weights.url))
    digest = torch.hub.HASH_REGEX.search(place.name)
    return Source(
        model=model,
        name=weights.name,
        file=place if place.exists() else None,
        place=place,
        stored_as=place.name,
        digest=digest[1] if digest else "",
        mean=tuple(shown.mean),
        std=tuple(shown.std),
        fetch=partial(_fetch, weights),
        by_hand=shlex.join(["curl", "-O", weights.url]),
        adapted=partial(adapted, model),
    )


def adapted(model: str, tensors: dict[str, Tensor], image_size: int) -> dict[str, Tensor]:
    """Return what a network of torchvision for images of `image_size` takes of a file's tensors.

    The names in its oldest files of DenseNet are mended, and the position embeddings of a vision transformer for images
    of another size are interpolated: both as torchvision does.
    """
    if model.startswith("densenet"):
        return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}
    patch = re.fullmatch(r"vit_\w+_(\d+)", model)
    if patch is None or _POSITIONS not in tensors or tensors[_POSITIONS].dim() != 3:
        return tensors
    num_positions = (image_size // int(patch[1])) ** 2 + 1
    if tensors[_POSITIONS].shape[1] == num_positions:
        return tensors
    return dict(interpolate_embeddings(image_size, int(patch[1]), dict(tensors)))


def _fetch(weights: Any) -> None:
    weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
