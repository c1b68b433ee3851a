"""A data set of image files: ``ROOT/{train,test[,val]}/CLASS/FILE``."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from orchestrator.amounts import counted
from orchestrator.data.dataset import Shape, Source
from orchestrator.data.table import IMAGE_ENDINGS
from orchestrator.errors import DataError

SPLITS = ("train", "test", "val")
VAL_ELSEWHERE = ("valid", "validation", "dev")
_DEEP_MODES = ("I", "F")  # 16 and 32 bits per channel: Pillow's conversion to RGB would clip them without a word
_FAILURES = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is missing, not an image, or damaged."""


def open_image_folder(root: Path) -> Source:
    """Lists the files below ``root``; decodes none.

    The classes are the folders of ``train`` in alphabetical order, and those of the other splits must be the same.
    Hidden files and folders are passed over. The samples of a split are in the order of their paths.

    Raises:
        DataError: A folder is missing or empty, the classes of two splits differ, or a file's name is not an image's.
    """
    _refuse_other_names_of_val(root)
    # Also where val is a link to a disk that is not there: a part of train instead would be another experiment.
    splits = [split for split in SPLITS if split != "val" or os.path.lexists(root / split)]
    listing = {split: _list_split(root, split) for split in splits}
    class_names = tuple(listing["train"])
    if len(class_names) < 2:
        raise DataError(
            f"{root / 'train'} holds {counted(len(class_names), 'class folder')}: classification needs two or more."
        )
    for split in splits[1:]:
        if differing := sorted(listing["train"].keys() ^ listing[split].keys()):
            raise DataError(
                f"{root}: the classes of train and {split} differ in {', '.join(differing)}.",
                remedy="Give every split the same class folders.",
            )
    reference = next(iter(listing["train"].values()))[0]
    found = {split: _samples(root, files_of_class, reference) for split, files_of_class in listing.items()}
    return Source(class_names, train=found["train"], test=found["test"], val=found.get("val"))


def _refuse_other_names_of_val(root: Path) -> None:
    """Raise DataError if the validation images would be passed over, and a part of train taken in their place."""
    for entry in _visible(root):
        if entry.name.lower() in VAL_ELSEWHERE:
            raise DataError(
                f"{entry.path} is not read: validation images are expected in {root / 'val'}.", remedy="Rename it."
            )


def _samples(root: Path, files_of_class: dict[str, list[str]], reference: str) -> FileSamples:
    ids = [name for files in files_of_class.values() for name in files]
    labels = np.repeat(np.arange(len(files_of_class)), [len(files) for files in files_of_class.values()])
    return FileSamples(root, ids, labels.astype(np.int64), reference)


def _list_split(root: Path, split: str) -> dict[str, list[str]]:
    """The files of each class, both sorted; paths are relative to ``root`` with forward slashes."""
    refuse_dangling(root / split)
    files_of_class: dict[str, list[str]] = {}
    for class_folder in _visible(root / split):
        if not class_folder.is_dir():
            refuse_dangling(class_folder.path)
            raise DataError(f"{class_folder.path} lies among the class folders of {split}.", remedy="Move it away.")
        files = [_checked(entry) for entry in _visible(Path(class_folder.path))]
        if not files:
            raise DataError(
                f"{class_folder.path} holds no image.", remedy="Fill it, or remove the class from every split."
            )
        files_of_class[class_folder.name] = [f"{split}/{class_folder.name}/{name}" for name in files]
    return files_of_class


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be listed: {error.strerror}. Images are expected as ROOT/{{train,test[,val]}}/CLASS/FILE "
            "with ROOT = dataset.folder below data_dir."
        ) from error


def refuse_dangling(path: str | os.PathLike[str]) -> None:
    """Raise DataError if `path` is a symbolic link that leads nowhere."""
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(
            f"{path} is a symbolic link to {os.readlink(path)}, which is not there.", remedy="Mend or remove it."
        )


def _checked(entry: os.DirEntry[str]) -> str:
    refuse_dangling(entry.path)
    if entry.is_dir():
        raise DataError(
            f"{entry.path} is a folder where an image file is expected: ROOT/{{train,test[,val]}}/CLASS/FILE.",
            remedy=f"Move its images up into {os.path.dirname(entry.path)}, or move it away.",
        )
    if not entry.is_file() or not entry.name.lower().endswith(IMAGE_ENDINGS):
        raise DataError(f"{entry.path} is not an image file ({', '.join(IMAGE_ENDINGS)}).", remedy="Move it away.")
    return entry.name


@dataclass(frozen=True)
class FileSamples:
    """Samples in image files; see ``orchestrator.data.dataset.Samples``.

    Every image becomes 8-bit RGB: grey is repeated, a palette resolved, CMYK converted, transparency dropped; of an
    animation the first frame counts, and orientation tags are not followed.

    Attributes:
        root: The data set's folder.
        ids: Paths relative to ``root``, with forward slashes.
        labels: int64 [n].
        reference: The file whose size all must have where none is asked for; the same in every split.
        groups: See ``Samples``.
    """

    root: Path
    ids: Sequence[str]
    labels: NDArray[np.int64]
    reference: str
    groups: Sequence[str] | None = None

    def part(self, indices: NDArray[np.int64]) -> FileSamples:
        """These samples alone, in this order."""
        return replace(
            self,
            ids=[self.ids[index] for index in indices],
            labels=self.labels[indices],
            groups=[self.groups[index] for index in indices] if self.groups is not None else None,
        )

    def shape(self, image_size: int | None) -> Shape:
        """See ``Samples``.

        Raises:
            DataError: No ``image_size`` is given, and the reference is not square or cannot be read.
        """
        if image_size is not None:
            return (3, image_size, image_size)
        width, height = self._reference_px()
        if width != height:
            raise DataError(
                f"{self.root / self.reference} is {width}x{height} pixels, not square.",
                remedy="Set dataset.image_size to resize and crop.",
            )
        return (3, height, width)

    def _reference_px(self) -> tuple[int, int]:
        path = self.root / self.reference
        try:
            with Image.open(path) as image:
                return image.size
        except _FAILURES as error:
            raise _unreadable(path, error) from error

    def read(self, indices: NDArray[np.int64], image_size: int | None) -> Tensor:
        """See ``Samples``: the shorter side is resized to ``image_size`` (bilinear, antialiased), the centre cut out.

        Raises:
            DataError: A file cannot be read, or differs in size where no ``image_size`` is given; the first in order.
        """
        images = np.empty((len(indices), *self.shape(image_size)), dtype=np.uint8)
        for row, index in enumerate(indices):
            images[row] = self._decoded(self.ids[index], image_size, images.shape[2])
        return torch.from_numpy(images)

    def _decoded(self, name: str, image_size: int | None, expected_px: int) -> NDArray[np.uint8]:
        """uint8 [3, expected_px, expected_px]."""
        path = self.root / name
        try:
            with Image.open(path) as image:
                if image.mode.startswith(_DEEP_MODES):
                    raise ValueError(
                        f"its pixels have more than 8 bits per channel (mode {image.mode}), convert it first"
                    )
                rgb = image.convert("RGB")
        except _FAILURES as error:
            raise _unreadable(path, error) from error
        if image_size is not None:
            rgb = _resized(rgb, image_size)
        elif rgb.size != (expected_px, expected_px):
            raise DataError(
                f"{path} is {rgb.width}x{rgb.height} pixels, but {self.root / self.reference} is "
                f"{expected_px}x{expected_px}.",
                remedy="Set dataset.image_size to resize and crop all of them.",
            )
        return np.asarray(rgb).transpose(2, 0, 1)


def _resized(image: Image.Image, size: int) -> Image.Image:
    """What torchvision's ``Resize(size)`` and ``CenterCrop(size)`` make of it, to the pixel."""
    shorter = min(image.size)
    if shorter != size:
        width, height = (int(size * side / shorter) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)  # Pillow always antialiases
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _unreadable(path: Path, error: BaseException) -> DataError:
    remedy = "Mend its permissions" if isinstance(error, PermissionError) else "Replace it or remove it"
    return DataError(f"{path} cannot be read as an image: {error}.", remedy=f"{remedy}.")
