"""The types of ``orchestrator.data``: what a data set is before and after it has been decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, int, int]
"""Channels, height, width."""

Layout = Mapping[str, Any]
"""How a set that is your own lies in its folder, by the options of the experiment file: plain data."""

AS_USUAL: Layout = MappingProxyType({})

LAYOUT_OPTIONS = ("splits", "csv", "columns")
"""The options of the experiment file that can say it; a set names those that it takes."""


@dataclass(frozen=True)
class Split:
    """Which images of a data set belong together.

    Attributes:
        rows: int64 [n], on the CPU: their places in ``Dataset.images``.
        labels: int64 [n] in [0, num_classes), on the CPU.
    """

    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set that is decoded and split.

    Attributes:
        name: Its name in ``DATASETS``.
        images: uint8 [N, C, S, S], on the CPU: all images, mapped from the cache. Not to be written to.
        train: What is trained on, validation already taken out.
        val: What models are selected by.
        test: What is reported.
        class_names: The names of the classes in the order of the labels.
        mean: Mean of each channel of ``train`` in units of [0, 1].
        std: Standard deviation of each channel of ``train``, likewise; 1 for a channel that is constant.
        split_hash: SHA-256 (hex) over which samples, with which labels, are in which split.
        groups: In a line, which images are known to belong together, and by what.
        test_hash: SHA-256 (hex) over which images, with which labels, are tested, in their order: the same whatever is
            trained on.
        unreadable: The ids of images that have been left out since they cannot be read.
        test_groups: int64 [len(test)], on the CPU: the group of each test image, numbered from 0; None if it is not
            known, or a group has more than one label.
        pixel_hash: See ``Decoded``.
        unmeasured: Which metrics do not exist with these images, and why; a line each.
    """

    name: str
    images: Tensor
    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    split_hash: str
    groups: str
    test_hash: str
    unreadable: tuple[str, ...] = ()
    test_groups: Tensor | None = None
    unmeasured: tuple[str, ...] = ()
    pixel_hash: str | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def num_channels(self) -> int:
        """Number of channels: 1 or 3."""
        return int(self.images.shape[1])

    @property
    def stored_size(self) -> int:
        """Height and width of ``images`` in pixels; they are square."""
        return int(self.images.shape[2])


class Samples(Protocol):
    """Samples whose labels are known and whose images are read on demand."""

    @property
    def ids(self) -> Sequence[str]:
        """A name for each sample, unique in the data set, that never changes; the fixed splits are made from them."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [n]."""
        ...

    @property
    def groups(self) -> Sequence[str] | None:
        """What each sample shows, e.g. which lesion: no split tears a group apart. None: all show different things."""
        ...

    def shape(self, image_size: int | None) -> Shape:
        """The shape that ``read`` gives each image."""
        ...

    def read(self, indices: NDArray[np.int64], image_size: int | None) -> Tensor:
        """The images of these samples, uint8 [len(indices), C, H, W], resized to ``image_size`` if it is given."""
        ...


@runtime_checkable
class PackedSamples(Samples, Protocol):
    """Samples in an archive: whoever reads one image must unpack all."""

    @property
    def unpacked_bytes(self) -> int:
        """What they take unpacked."""
        ...

    def unpacked(self, folder: Path) -> Samples:
        """Unpack the images into a file in `folder`; return samples that map it, in any number of processes."""
        ...


@dataclass(frozen=True)
class ArraySamples:
    """Samples that are in memory already.

    Attributes:
        ids: See ``Samples``.
        labels: int64 [n].
        images: uint8 [n, C, S, S].
        groups: See ``Samples``.
    """

    ids: Sequence[str]
    labels: NDArray[np.int64]
    images: Tensor
    groups: Sequence[str] | None = None

    def shape(self, image_size: int | None) -> Shape:
        """See ``Samples``."""
        channels, height, width = self.images.shape[1:]
        return (channels, image_size or height, image_size or width)

    def read(self, indices: NDArray[np.int64], image_size: int | None) -> Tensor:
        """See ``Samples``; resized bilinearly with antialiasing."""
        images = self.images[torch.from_numpy(indices)].contiguous()
        if image_size is None or image_size == images.shape[-1]:
            return images
        size = (image_size, image_size)
        return torch.nn.functional.interpolate(images, size=size, mode="bilinear", antialias=True).contiguous()


@dataclass(frozen=True)
class Source:
    """A data set that has been found, before it is split and read.

    Attributes:
        class_names: In the order of the labels.
        train: The training samples; validation is taken out of them unless ``val`` is there.
        test: The test samples.
        val: The validation samples that the set ships, if it does.
        grouped_by: What says which samples belong together, e.g. ``lesion_id in HAM10000_metadata.tab``; empty if
            nothing does.
        test_is: In words, what ``test`` is where the set ships none; empty if it does.
        not_read: In words, what lies among the samples and is none of them, e.g. ``2 folders: masks, raw``.
    """

    class_names: tuple[str, ...]
    train: Samples
    test: Samples
    val: Samples | None = None
    grouped_by: str = ""
    test_is: str = ""
    not_read: str = ""

    @property
    def parts(self) -> dict[str, Samples]:
        """The samples by split, in the order in which they are decoded."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: samples for name, samples in parts.items() if samples is not None}

    def with_parts(self, parts: Mapping[str, Samples]) -> Source:
        """Return the same data set with other samples, by split."""
        return replace(self, train=parts["train"], val=parts.get("val"), test=parts["test"])


@dataclass(frozen=True)
class Decoded:
    """A data set whose images have been decoded, before it is split.

    Attributes:
        source: Its samples; their images are views of ``images``.
        images: uint8 [N, C, S, S]: those of all parts of ``source``, one after the other.
        pixel_sums: int64 [N, C, 2]: the sum of the pixels of each channel, and that of their squares.
        unreadable: What has been left out since it cannot be read: the id of each image, and why.
        pixel_hash: CRC-32 (hex) over ``images``: other pixels under the same names have another one. None: not known.
    """

    source: Source
    images: Tensor
    pixel_sums: NDArray[np.int64]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    pixel_hash: str | None = None


@dataclass(frozen=True)
class DatasetInfo:
    """One entry of the registry of data sets.

    Attributes:
        open: Finds the data set below a folder; takes ``layout_options`` as keywords, too; raises ``DataError``.
        description: One line: what it is and where it comes from.
        num_classes: None if only the folder tells.
        image_shape: Channels, height, width as stored; None if only the folder tells.
        crop_padding: Default of the experiment file's option: pixels to pad before a random crop; 0 for no crop.
        hflip: Default of the experiment file's option: whether training mirrors images at random.
        files: What must exist below the data set's folder.
        path_option: The option of the experiment file that names your own files below ``data_dir``: ``folder`` or
            ``file``; None: they lie in a folder of the data set's name.
        layout_options: Options of the experiment file that say how your own files lie there.
        embedded: It lies in no file of its own, so there is nothing to cache.
        check: Looks closer than ``files`` without decoding images; is called like ``open``; raises ``DataError``.
        download: Fetches the data set into a folder; None if it cannot be fetched.
        code: Of a set that is not zetasweep's: what its function is kept apart by, see `orchestrator.plugins`; images
            that other code has found are decoded anew.
    """

    open: Callable[..., Source]
    description: str
    num_classes: int | None = None
    image_shape: Shape | None = None
    crop_padding: int = 0
    hflip: bool = False
    files: tuple[str, ...] = ()
    path_option: Literal["folder", "file"] | None = None
    layout_options: tuple[str, ...] = ()
    embedded: bool = False
    check: Callable[..., object] | None = None
    download: Callable[[Path], None] | None = None
    code: str | None = None
