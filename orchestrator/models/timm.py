"""timm's models and their weights by name, where the package timm is installed: the extra ``zetasweep[timm]``."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from augment import ParameterError
from orchestrator.errors import UserError, first_line
from orchestrator.models.grey import behind_grey
from orchestrator.models.names import TIMM
from orchestrator.models.source import Source
from orchestrator.models.torchvision import try_on_meta

# What the hub calls the weights of a model: the second only where there is no first.
_FILES = ("model.safetensors", "pytorch_model.bin")
_POSITIONS = "pos_embed"


def names() -> list[str]:
    """Return the names of timm's models, without weights, as an experiment writes them: ``timm/convnext_atto``.

    Raises:
        UserError: timm is not installed.
    """
    return [TIMM + name for name in _timm().list_models()]


def build(model: str, *, num_classes: int, num_channels: int, image_size: int) -> nn.Module:
    """Return a model of timm without pretrained weights; one channel is repeated three times.

    Raises:
        UserError: timm is not installed.
        ParameterError: Images that the model cannot take.
    """
    if num_channels not in (1, 3):
        raise ParameterError("num_channels", num_channels, f"1 or 3 for {model}", "Use a model of another family.")
    try:
        network = _create(model, image_size, num_classes=num_classes)
        try_on_meta(network, image_size)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise ParameterError(
            "image_size",
            image_size,
            f"a size that {model} takes (it says: {first_line(error).rstrip('.')})",
            f"Set dataset.image_size: it was made for {_size_of(model)} px.",
        ) from error
    return behind_grey(network) if num_channels == 1 else network


def weight_names(model: str) -> list[str]:
    """Return what timm calls the weights of a model: the tags, e.g. ``d2_in1k``.

    Raises:
        UserError: timm is not installed.
    """
    name = model.removeprefix(TIMM)
    pretrained = (each.partition(".") for each in _timm().list_pretrained(f"{name}*"))
    tags = [tag for found, _, tag in pretrained if found == name]
    # A few are not on the hub.
    return [tag for tag in tags if _config(model, tag).hf_hub_id]


def published(model: str, tag: str) -> Source:
    """Return timm's weights of that tag, which it keeps in the cache of the Hugging Face hub.

    Raises:
        UserError: timm is not installed.
        ValueError: There are no such.
    """
    known = weight_names(model)
    if tag not in known:
        raise ValueError(f"weights={tag!r} of {model} are not known; known are {', '.join(known) or 'none'}.")
    from huggingface_hub import constants, try_to_load_from_cache

    config = _config(model, tag)
    repository = config.hf_hub_id
    cached = (try_to_load_from_cache(repository, name) for name in _FILES)
    return Source(
        model=model,
        name=tag,
        stored_as=f"timm-{config.architecture}.{tag}",
        digest="",
        adapted=partial(_adapted, model, tag),
        file=next((Path(path) for path in cached if isinstance(path, str)), None),
        place=Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}"),
        mean=tuple(config.mean),
        std=tuple(config.std),
        fetch=partial(_fetch, repository),
        by_hand=f"hf download {repository} {_FILES[0]}",
    )


def _fetch(repository: str) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        hf_hub_download(repository, _FILES[0])
    except EntryNotFoundError:
        hf_hub_download(repository, _FILES[1])


def _adapted(model: str, tag: str, tensors: dict[str, Tensor], image_size: int) -> dict[str, Tensor]:
    """Return what timm's network for images of `image_size` has of a file's tensors, as timm itself loads them: it
    renames those of other authors, and interpolates position embeddings.
    """
    network = _create(f"{model}.{tag}", image_size, pretrained=True, pretrained_cfg_overlay={"state_dict": tensors})
    return dict(network.state_dict())


def with_positions(model: str, tensors: dict[str, Tensor], image_size: int) -> dict[str, Tensor]:
    """Return the tensors of somebody's file with position embeddings for images of `image_size`, as timm interpolates
    them.
    """
    found = tensors.get(_POSITIONS)
    if found is None or found.dim() != 3:
        return tensors
    with torch.random.fork_rng(devices=[]):
        network = _create(model, image_size)
    own, grid = getattr(network, _POSITIONS, None), getattr(getattr(network, "patch_embed", None), "grid_size", None)
    if own is None or grid is None or own.shape[1] == found.shape[1]:
        return tensors
    num_others = 0 if getattr(network, "no_embed_class", False) else int(getattr(network, "num_prefix_tokens", 1))
    num_patches = found.shape[1] - num_others
    if num_patches < 1 or math.isqrt(num_patches) ** 2 != num_patches:
        return tensors  # of another network, or of images that were no squares
    from timm.layers import resample_abs_pos_embed

    return {**tensors, _POSITIONS: resample_abs_pos_embed(found, grid, num_prefix_tokens=num_others)}


def _create(model: str, image_size: int, **options: Any) -> nn.Module:
    # The others take images of any size, and no such option.
    if _config(*model.partition(".")[::2]).fixed_input_size:
        options["img_size"] = image_size
    network: nn.Module = _timm().create_model(model.removeprefix(TIMM), **options)
    return network


def _size_of(model: str) -> int:
    return int(_config(model).input_size[-1])


def _config(model: str, tag: str = "") -> Any:
    name = model.removeprefix(TIMM)
    return _timm().get_pretrained_cfg(f"{name}.{tag}" if tag else name)


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"a model whose name begins with {TIMM} needs the package timm, which is not installed ({error})",
            remedy="pip install 'zetasweep[timm]' installs it; on a cluster, on each machine",
        ) from error
    return timm
