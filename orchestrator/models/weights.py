"""The weights that a training can begin with: names that torchvision and timm publish, and files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import ModuleType

from torch import Tensor

from orchestrator.errors import DataError, UserError, first_line
from orchestrator.models.names import is_timm
from orchestrator.models.registry import MODELS
from orchestrator.models.source import BY_HASH, Source
from orchestrator.models.state_files import SUFFIXES, file_hash


def is_file(weights: str) -> bool:
    """Whether what stands for weights is the path of a file, there or not: no name ends like one."""
    return weights.lower().endswith(SUFFIXES)


def weight_names(model: str) -> tuple[str, ...]:
    """Return the names of the weights that are published of a model; none of one that is not another library's.

    Raises:
        UserError: It is timm's, which is not installed.
    """
    return tuple(_library(model).weight_names(model))


def weights_of_file(path: Path) -> str:
    """Return what stands for the weights in a file, wherever it lies: ``sha256:`` and the hash of its bytes.

    Raises:
        UserError: It is not there, or cannot be read.
    """
    try:
        return BY_HASH + file_hash(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UserError(f"{path}: it cannot be read ({first_line(error)})") from error


def source_of(model: str, weights: str) -> Source:
    """Return where weights come from.

    Args:
        model: Which network.
        weights: The name that a library gives them, or what `weights_of_file` returns.

    Raises:
        UserError: They are timm's, which is not installed.
        ValueError: There are no such.
    """
    if not weights.startswith(BY_HASH):
        found: Source = _library(model).published(model, weights)
        return found
    digest = weights.removeprefix(BY_HASH)
    return Source(model, weights, digest, digest, partial(_adapted, model))


def fetch_weights(source: Source) -> None:
    """Fetch weights to where they are expected, unless they are there or nobody has them.

    Raises:
        DataError: They cannot be fetched.
    """
    if source.file is not None or source.fetch is None:
        return
    try:
        source.fetch()
    except Exception as error:
        # Which errors, is the network's and the library's.
        raise DataError(
            f"the download of {source.name} of {source.model} failed: {first_line(error)}",
            remedy=f"on a machine with a network: {source.by_hand}\nand copy what it fetched to {source.place} here",
        ) from error


def _adapted(model: str, tensors: dict[str, Tensor], image_size: int) -> dict[str, Tensor]:
    if model in MODELS:
        return tensors  # of this project's own networks nothing is adapted: torchvision takes seconds to import
    library = _library(model)
    adapted = library.with_positions if is_timm(model) else library.adapted
    return dict(adapted(model, tensors, image_size))


def _library(model: str) -> ModuleType:
    # Seconds to import.
    if is_timm(model):
        from orchestrator.models import timm

        return timm
    return _torchvision_weights()


def _torchvision_weights() -> ModuleType:
    from orchestrator.models import torchvision_weights

    return torchvision_weights
