"""Image files: which of a folder count, how they are decoded, and what is said of those that cannot be.

Every listing of a data set's folders goes through `visible`, so that what operating systems and editors leave behind is
passed over in all of them alike.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from torch import Tensor

from orchestrator.data.dataset import Shape
from orchestrator.errors import DataError

IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Of an image that is longer than this, the centre alone is resized.
MAX_ASPECT = 16
CANNOT_BE_USED = "images cannot be used"
# Beside hidden files, which begin with a dot: what Windows, a Mac's archives and Synology leave in folders of images.
_LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}
_FAILURES = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is missing, not an image, or damaged."""


def is_litter(name: str) -> bool:
    """Return whether a file or folder of this name is no part of any data set: hidden, or an operating system's."""
    return name.startswith(".") or name.lower() in _LITTER


def visible(folder: Path, *, remedy: str) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name, without litter.

    Args:
        folder: Is listed.
        remedy: What is said to do if that is not possible.

    Raises:
        DataError: It cannot be listed, or names in it are not UTF-8.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not is_litter(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}.", remedy=remedy) from error
    refuse_other_encodings(entry.path for entry in found)
    return found


def refuse_other_encodings(paths: Iterable[str]) -> None:
    """Raise DataError if a name is not UTF-8, as from an archive that was packed on an old Windows.

    Such a name could be listed, but neither stored with the results nor printed.
    """
    errors = [
        DataError(
            f"{printable(path)}: its name is not UTF-8.",
            remedy="Rename such files, e.g. all of a folder by convmv -r -f cp850 -t utf8 --notest FOLDER (cp850: what "
            "the archive was packed with), or unpack it again by unzip -O cp850.",
        )
        for path in paths
        if path != printable(path)
    ]
    if errors:
        raise DataError.all_in_one(errors, what="names are not UTF-8")


def printable(path: str) -> str:
    """Return a path with what is not UTF-8 in it as ``\\xNN``."""
    return os.fsencode(path).decode(errors="backslashreplace")


def refuse_dangling(path: str | os.PathLike[str]) -> None:
    """Raise DataError if `path` is a symbolic link that leads nowhere."""
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(
            f"{path} is a symbolic link to {os.readlink(path)}, which is not there.", remedy="Mend or remove it."
        )


class UnreadableError(DataError):
    """A file that cannot be read as an image: it is missing, damaged, or not one."""


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
            DataError: Files cannot be read, have more than 8 bits per channel, or differ in size where no
                ``image_size`` is given; names all of them.
        """
        images = np.empty((len(indices), *self.shape(image_size)), dtype=np.uint8)
        errors = []
        for row, index in enumerate(indices):
            try:
                images[row] = self._decoded(self.ids[index], image_size, images.shape[2])
            except DataError as error:
                errors.append(error)
        if errors:
            raise DataError.all_in_one(errors, what=CANNOT_BE_USED)
        return torch.from_numpy(images)

    def try_reference(self) -> None:
        """Raise UnreadableError if the reference cannot be read."""
        _opened(self.root / self.reference)

    def _decoded(self, name: str, image_size: int | None, expected_px: int) -> NDArray[np.uint8]:
        """uint8 [3, expected_px, expected_px]."""
        path = self.root / name
        bits, rgb = _opened(path)
        if bits > 8:
            raise DataError(
                f"{path} has {bits} bits per channel; images of 8 bits are read.",
                remedy="Convert it: which of its values become black and white is yours to say.",
            )
        if image_size is not None:
            rgb = _resized(rgb, image_size)
        elif rgb.size != (expected_px, expected_px):
            raise DataError(
                f"{path} is {rgb.width}x{rgb.height} pixels, but {self.root / self.reference} is "
                f"{expected_px}x{expected_px}.",
                remedy="Set dataset.image_size to resize and crop all of them.",
            )
        return np.asarray(rgb).transpose(2, 0, 1)


def _opened(path: Path) -> tuple[int, Image.Image]:
    """Return the bits of each channel, and the image in RGB; as it is, where it has more than 8.

    Raises:
        UnreadableError: It cannot be read.
    """
    try:
        with Image.open(path) as image:
            bits = bits_per_channel(image)
            return bits, image.convert("RGB") if bits <= 8 else image
    except _FAILURES as error:
        raise _unreadable(path, error) from error


def bits_per_channel(image: Image.Image) -> int:
    """Return how many bits each channel has in the file, 8 at least.

    Pillow narrows colours of 16 bits to 8 as it decodes them, and its mode is RGB before and after: the upper eight
    bits of 12-bit data are almost black.

    Args:
        image: Just opened: what it says of its file is gone once it is decoded.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits: tuple[int, ...] = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))
        return max(8, *bits)
    if image.mode.startswith("I;16"):
        return 16
    if image.mode == "F":
        return 32
    # By place: before Pillow 11 a tile is a plain tuple.
    raws = [args if isinstance(args, tuple) else (args,) for _, _, _, args in getattr(image, "tile", [])]
    # Of PNM files, the largest value, unless it is 255 or 65,535.
    largest = [raw[1] for raw in raws if len(raw) == 2 and isinstance(raw[1], int)] if image.format == "PPM" else []
    if largest:
        return max(8, max(largest).bit_length())
    return 16 if image.mode == "I" or any(str(raw[0]).endswith(";16B") for raw in raws) else 8


def _resized(image: Image.Image, size: int) -> Image.Image:
    """What torchvision's ``Resize(size)`` and ``CenterCrop(size)`` make of it, to the pixel."""
    shorter = min(image.size)
    width, height = (int(size * side / shorter) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    if max(width, height) > MAX_ASPECT * size:
        # Only what is cut out is resized: of 2x6000 pixels the whole would take 600 MB at a size of 224.
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if shorter != size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)  # Pillow always antialiases
    return image.crop((left, top, left + size, top + size))


def _unreadable(path: Path, error: BaseException) -> UnreadableError:
    remedy = "Mend its permissions" if isinstance(error, PermissionError) else "Replace it or remove it"
    return UnreadableError(f"{path} cannot be read as an image: {error}.", remedy=f"{remedy}.")
