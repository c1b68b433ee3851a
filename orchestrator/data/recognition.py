"""What data set a folder or file is: a known one in its official layout, or images of your own in some layout."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from orchestrator.amounts import counted, some
from orchestrator.data.dataset import Samples, Source
from orchestrator.data.image_files import IMAGE_ENDINGS, FileSamples, is_litter, visible
from orchestrator.data.loading import open_dataset
from orchestrator.data.sets import DATASETS
from orchestrator.data.sets.image_table import ImageTable
from orchestrator.data.sets.split_folders import LAYOUT, split_meant
from orchestrator.data.table import is_table
from orchestrator.errors import DataError

_ALLOWED = "a folder of images, of a data set that zetasweep knows, or an .npz file in MedMNIST's format"


@dataclass(frozen=True)
class Recognised:
    """A data set that lies somewhere.

    Attributes:
        name: In the registry.
        data_dir: What an experiment has to say for ``data_dir``.
        options: What it has to say of the data set.
        source: What was found; no image was decoded.
    """

    name: str
    data_dir: Path
    options: Mapping[str, Any]
    source: Source


def recognise(path: Path) -> Recognised:
    """Return the data set that lies in a folder or file.

    Raises:
        DataError: It is none, or it is not clear which; the message says what is missing for the likeliest.
    """
    path = Path(os.path.abspath(path))
    if not path.exists():
        raise DataError(f"{path} is not there.", allowed=_ALLOWED)
    if path.is_file():
        if path.suffix != ".npz":
            raise DataError(f"{path} is a file.", allowed=_ALLOWED, remedy="Name the folder that holds the images.")
        return _opened("medmnist_npz", path.parent, {"file": path.name})
    entries = visible(path, remedy="Name another folder.")
    if known := _known(path):
        return known
    _refuse_several(path, entries)
    archives = [entry.name for entry in entries if entry.name.endswith(".npz")]
    if archives:
        if len(archives) > 1:
            raise DataError(f"{path} holds {len(archives)} .npz files.", remedy=f"Name one, e.g. {path / archives[0]}.")
        if folders := [entry.name for entry in entries if entry.is_dir() and _has_images(Path(entry.path))]:
            raise DataError(
                f"{path} holds the archive {archives[0]} and images in {counted(len(folders), 'folder')} "
                f"({some(folders)}).",
                remedy=f"Name the archive, {path / archives[0]}; or move it away, if the images are meant.",
            )
        return _opened("medmnist_npz", path, {"file": archives[0]})
    return _own_images(path, entries)


def some_sizes(samples: Samples, *, at_most: int = 100) -> list[tuple[int, int]]:
    """Return height and width of some images, evenly over all; a file that cannot be read has none."""
    if not isinstance(samples, FileSamples):
        _, height, width = samples.shape(None)
        return [(height, width)]
    sizes = []
    for index in np.unique(np.linspace(0, len(samples.ids) - 1, at_most).astype(int)):
        with suppress(OSError, SyntaxError, ValueError), Image.open(samples.root / samples.ids[index]) as image:
            sizes.append((image.height, image.width))
    return sizes


def _opened(name: str, data_dir: Path, options: Mapping[str, Any]) -> Recognised:
    layout = {option: options[option] for option in DATASETS[name].layout_options if option in options}
    path = options.get(DATASETS[name].path_option or "")
    return Recognised(name, data_dir, options, open_dataset(name, data_dir, path=path, layout=layout))


def _known(folder: Path) -> Recognised | None:
    """Return the data set of the registry whose official files a folder has.

    Raises:
        DataError: It has some of them, or all of them in a folder of another name.
    """
    for name, info in DATASETS.items():
        if info.path_option or info.embedded:
            continue
        there = [file for file in info.files if (folder / file).exists()]
        if folder.name != name:
            if there and len(there) == len(info.files):
                raise DataError(
                    f"{folder} has the files of {name}, which is looked for in a folder of its name.",
                    remedy=f"Rename it to {name}, or make a link: ln -s {folder} {folder.parent / name}",
                )
            continue
        try:
            return _opened(name, folder.parent, {})
        except DataError:
            # A folder of that name may hold the images in folders of classes.
            if there:
                raise
    return None


def _has_images(folder: Path) -> bool:
    """Return whether an image lies below a folder, at any depth."""
    return any(
        name.lower().endswith(IMAGE_ENDINGS) and not is_litter(name)
        for _, _, files in os.walk(folder)
        for name in files
    )


def _refuse_several(folder: Path, entries: Sequence[os.DirEntry[str]]) -> None:
    """Raise DataError if the folder is one of several data sets: what ``data_dir`` is."""
    sets = [entry.name for entry in entries if entry.is_dir() and entry.name in DATASETS]
    if sets:
        raise DataError(
            f"{folder} holds the data sets {', '.join(sets)}.", remedy=f"Name one of them: {folder / sets[0]}"
        )


def _own_images(folder: Path, entries: Sequence[os.DirEntry[str]]) -> Recognised:
    """Return images of your own, with the names of their splits and their table as they are there."""
    options: dict[str, Any] = {"folder": folder.name}
    table = _table(folder, [entry.name for entry in entries if entry.is_file() and is_table(entry.name)])
    if table is not None:
        options["csv"] = table.path.name
    if table is not None and table.has_splits:
        words = sorted({value for (value,) in table.table.values(table.columns["split"])})
    else:
        words = [entry.name for entry in entries if entry.is_dir()]
    splits = {split: word for word in words if (split := split_meant(word)) is not None}
    if len(splits) == sum(split_meant(word) is not None for word in words):
        named = {split: word for split, word in splits.items() if split != word}
        options |= {"splits": named} if named else {}
    return _opened("image_folder", folder.parent, options)


def _table(folder: Path, names: Sequence[str]) -> ImageTable | None:
    """Return the table that says the labels of the images, or their groups; None if none does.

    Raises:
        DataError: Several do, or none and there are no folders either.
    """
    found, errors = [], []
    for name in names:
        try:
            found.append(ImageTable.read(folder, name, {}))
        except DataError as error:
            errors.append(error)
    labelled = [table for table in found if table.has_labels] or found
    if len(labelled) > 1:
        raise DataError(
            f"{folder}: {' and '.join(table.path.name for table in labelled)} may both be the table of the images.",
            remedy=f"Move the other away, or write the experiment by hand, with csv: {labelled[0].path.name}.",
        )
    if not labelled and errors and not any(entry.is_dir() for entry in visible(folder, remedy=LAYOUT)):
        raise DataError.all_in_one(errors, what="tables cannot be used")
    return labelled[0] if labelled else None
