"""What a training begins with where that is not chance: weights of before, found, kept for all machines, and loaded.

They travel with ``storage``, which every machine of a cluster sees: the driver copies them there, once, before a
worker needs them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor, nn

from orchestrator.data import Dataset
from orchestrator.errors import CellError, UserError, first_line
from orchestrator.experiment import Cell, ModelSpec
from orchestrator.models import (
    BY_HASH,
    IMAGENET,
    Fit,
    Images,
    Source,
    build_model,
    pretrained_network,
    rebuilt_network,
    source_of,
)
from orchestrator.storage import Storage
from orchestrator.storage.atomic import written_whole
from orchestrator.waiting import waiting_for

DATA_SET = "the data set"


@dataclass(frozen=True)
class Scale:
    """What images are normalised with.

    Attributes:
        mean: Of each channel, in units of [0, 1].
        std: Likewise.
        whose: Whose they are: those of the data set, of the weights or of ImageNet.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    whose: str


def scale_of(model: ModelSpec, mean: Sequence[float], std: Sequence[float]) -> Scale:
    """Return what a network's images are normalised with.

    Args:
        model: The network.
        mean: Of each channel of the data set, over its training split.
        std: Likewise.
    """
    chosen: tuple[tuple[float, ...], tuple[float, ...]] = (tuple(mean), tuple(std))
    whose = DATA_SET
    if model.normalization == "imagenet":
        chosen, whose = IMAGENET, "ImageNet"
    elif model.weights is not None and model.normalization is None:
        source = source_of(model.name, model.weights)
        if source.mean is not None and source.std is not None:
            chosen, whose = (source.mean, source.std), "the weights"
    if len(mean) == 1 and len(chosen[0]) > 1:
        # The one channel is repeated behind the normalisation: what the three have in common.
        chosen, whose = (_mean(chosen[0]), _mean(chosen[1])), f"{whose}, over its channels"
    return Scale(*chosen, whose)


def _mean(values: Sequence[float]) -> tuple[float, ...]:
    return (sum(values) / len(values),)


def weights_file(model: ModelSpec, storage: Storage) -> Path | None:
    """Return the file of the weights that a network begins with: the one that is kept in `storage`, or else where it
    lies on this machine; None from scratch.

    Raises:
        UserError: It is in neither place.
    """
    if model.weights is None:
        return None
    source = source_of(model.name, model.weights)
    kept = storage.weights(source.stored_as)
    own = source.file or Path(model.weights_file or "")
    for place in (kept, own):
        if place.is_file():
            return place
    raise _missing(model, source, storage.shown(kept))


def keep_weights(models: Iterable[ModelSpec], storage: Storage) -> None:
    """Copy the weights that networks begin with to `storage`, where workers find them on any machine.

    Raises:
        UserError: They are not on this machine, or there is no room for them.
    """
    for file, kept in _to_keep(models, storage):
        place = storage.shown(kept.parent)
        try:
            with waiting_for(f"{file.name} to be copied to {place}"), file.open("rb") as read:
                _copy(read, kept)
                storage.keep(kept)
        except OSError as error:
            raise UserError(f"{file} cannot be copied to {place}: {first_line(error)}") from error


def bytes_to_keep(models: Iterable[ModelSpec], storage: Storage) -> int:
    """Return how much of the disk `keep_weights` would take; raises as it does."""
    return sum(file.stat().st_size for file, _ in _to_keep(models, storage))


def _to_keep(models: Iterable[ModelSpec], storage: Storage) -> Iterator[tuple[Path, Path]]:
    """Yield the files that are not kept yet, each once, and where they are to be."""
    to_keep: dict[Path, Path] = {}
    for model in dict.fromkeys(models):
        file = weights_file(model, storage)
        if file is None or model.weights is None:
            continue
        kept = storage.weights(source_of(model.name, model.weights).stored_as)
        if file != kept:
            to_keep.setdefault(kept, file)
    return ((file, kept) for kept, file in to_keep.items())


def _copy(read: BinaryIO, to: Path) -> None:
    with written_whole(to) as written:
        shutil.copyfileobj(read, written)


def network_of(
    model: ModelSpec, images: Images, *, weights: Path | None, built_as: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Return the network of a training before its first step.

    Args:
        model: Which.
        images: What it is for.
        weights: Where the weights that it begins with lie.
        built_as: The state of such a network, which is about to be loaded into it: no other weights are needed then.

    Raises:
        UserError: The weights are not there, cannot be read, or are those of another network.
        ValueError: The network does not take such images.
    """
    if model.weights is None:
        return build_model(model.name, **vars(images), **dict[str, Any](model.options))
    if built_as is not None:
        return rebuilt_network(model.name, model.options, model.weights, built_as, images)
    network, _ = loaded_network(model, images, weights)
    return network


def loaded_network(model: ModelSpec, images: Images, weights: Path | None) -> tuple[nn.Module, Fit]:
    """Return a network with the weights that it begins with, and what it took of them; raise as `network_of` does."""
    assert model.weights is not None
    if weights is None:
        raise UserError(f"nobody said where the weights {model.weights} of {model.name} lie")
    return pretrained_network(model.name, model.options, source_of(model.name, model.weights), weights, images)


def images_of(dataset: Dataset, cell: Cell) -> Images:
    """Return what a cell's network is for."""
    return Images(dataset.num_classes, dataset.num_channels, cell.dataset.image_size or dataset.stored_size)


def begins_with(cell: Cell, dataset: Dataset, weights: Path | None) -> str:
    """Return in a line what a cell's network takes of the weights that it begins with; empty from scratch.

    Raises:
        CellError: They cannot be read, are those of another network, or it does not take such images.
    """
    if cell.model.weights is None:
        return ""
    try:
        fit = _fit_of(cell.model, images_of(dataset, cell), weights)
    except (UserError, ValueError) as error:
        raise CellError(str(error)) from error
    return in_words(cell.model, fit, scale_of(cell.model, dataset.mean, dataset.std))


# The cells of a slot mostly begin alike.
@lru_cache(maxsize=16)
def _fit_of(model: ModelSpec, images: Images, weights: Path | None) -> Fit:
    return loaded_network(model, images, weights)[1]


def in_words(model: ModelSpec, fit: Fit, scale: Scale) -> str:
    """Return what a network begins with, in a line: what it took of the weights, and how images are normalised."""
    numbers = ""
    if scale.whose != DATA_SET:
        mean, std = (" ".join(f"{value:.3g}" for value in values) for values in (scale.mean, scale.std))
        numbers = f" ({mean} and {std})"
    frozen = "; its head alone is trained" if model.freeze else ""
    return f"{fit.in_words}; images normalised by mean and deviation of {scale.whose}{numbers}{frozen}"


def _missing(model: ModelSpec, source: Source, kept: str) -> UserError:
    if source.name.startswith(BY_HASH):
        return UserError(
            f"the weights {model.label} are neither at {model.weights_file or 'a path that is known'} nor at {kept}",
            remedy="write the path of the file as model weights",
        )
    return UserError(
        f"the weights {source.name} of {model.name} are not on this machine: expected in {source.place}",
        remedy="zetasweep run FILE --download fetches them\n"
        f"or, on a machine with a network: {source.by_hand}; and copy what it fetched to {source.place}\n"
        "or name a file of them: weights: PATH",
    )
