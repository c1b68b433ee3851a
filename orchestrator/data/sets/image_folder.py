"""A data set of image files: ``ROOT/{train,test[,val]}/CLASS/FILE``."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from orchestrator.amounts import counted
from orchestrator.data.dataset import Source
from orchestrator.data.image_files import IMAGE_ENDINGS, FileSamples, refuse_dangling, visible
from orchestrator.errors import DataError

SPLITS = ("train", "test", "val")
VAL_ELSEWHERE = ("valid", "validation", "dev")
_LAYOUT = "Images are expected as ROOT/{train,test[,val]}/CLASS/FILE with ROOT = dataset.folder below data_dir."


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
    listing, errors = {}, []
    for split in splits:
        try:
            listing[split] = _list_split(root, split)
        except DataError as error:
            errors.append(error)
    if errors:
        raise DataError.all_in_one(errors, what=f"things in {root} are not as they should be")
    class_names = tuple(listing["train"])
    if len(class_names) < 2:
        raise DataError(
            f"{root / 'train'} holds {counted(len(class_names), 'class folder')}: classification needs two or more."
        )
    for split in splits[1:]:
        _require_same_classes(root, split, listing["train"], listing[split])
    reference = next(iter(listing["train"].values()))[0]
    found = {split: _samples(root, files_of_class, reference) for split, files_of_class in listing.items()}
    return Source(class_names, train=found["train"], test=found["test"], val=found.get("val"))


def _refuse_other_names_of_val(root: Path) -> None:
    """Raise DataError if the validation images would be passed over, and a part of train taken in their place."""
    for entry in visible(root, remedy=_LAYOUT):
        if entry.name.lower() in VAL_ELSEWHERE:
            raise DataError(
                f"{entry.path} is not read: validation images are expected in {root / 'val'}.", remedy="Rename it."
            )


def _require_same_classes(root: Path, split: str, train: Iterable[str], other: Iterable[str]) -> None:
    differing = sorted(set(train) ^ set(other))
    if not differing:
        return
    composed = [unicodedata.normalize("NFC", name) for name in differing]
    if alike := {name for name in composed if composed.count(name) > 1}:
        raise DataError(
            f"{root}: {', '.join(sorted(alike))} looks the same in train and {split}, but is not: an accent is part of "
            "its letter in one (NFC) and a character of its own in the other (NFD), as on a Mac.",
            remedy="Rename one, e.g. all by convmv -r -f utf8 -t utf8 --nfc --notest FOLDER.",
        )
    raise DataError(
        f"{root}: the classes of train and {split} differ in {', '.join(differing)}.",
        remedy="Give every split the same class folders.",
    )


def _samples(root: Path, files_of_class: dict[str, list[str]], reference: str) -> FileSamples:
    ids = [name for files in files_of_class.values() for name in files]
    labels = np.repeat(np.arange(len(files_of_class)), [len(files) for files in files_of_class.values()])
    return FileSamples(root, ids, labels.astype(np.int64), reference)


def _list_split(root: Path, split: str) -> dict[str, list[str]]:
    """The files of each class, both sorted; paths are relative to ``root`` with forward slashes.

    Raises:
        DataError: Something else lies there; names all of it.
    """
    refuse_dangling(root / split)
    errors: list[DataError] = []
    files_of_class: dict[str, list[str]] = {}
    for folder in visible(root / split, remedy=_LAYOUT):
        try:
            files_of_class[folder.name] = _list_class(folder, split)
        except DataError as error:
            errors.append(error)
    if errors:
        raise DataError.all_in_one(errors, what=f"things in {root / split} are not as they should be")
    return files_of_class


def _list_class(folder: os.DirEntry[str], split: str) -> list[str]:
    if not folder.is_dir():
        refuse_dangling(folder.path)
        raise DataError(f"{folder.path} lies among the class folders of {split}.", remedy="Move it away.")
    files = visible(Path(folder.path), remedy=_LAYOUT)
    if not files:
        raise DataError(f"{folder.path} holds no image.", remedy="Fill it, or remove the class from every split.")
    if errors := [error for entry in files for error in _problems(entry)]:
        raise DataError.all_in_one(errors, what=f"files of {folder.path} are no images")
    return [f"{split}/{folder.name}/{entry.name}" for entry in files]


def _problems(entry: os.DirEntry[str]) -> Iterator[DataError]:
    """Yield what is wrong with an entry of a class folder, if anything is."""
    try:
        refuse_dangling(entry.path)
    except DataError as error:
        yield error
        return
    if entry.is_dir():
        yield DataError(
            f"{entry.path} is a folder where an image file is expected: ROOT/{{train,test[,val]}}/CLASS/FILE.",
            remedy=f"Move its images up into {os.path.dirname(entry.path)}, or move it away.",
        )
    elif not entry.is_file() or not entry.name.lower().endswith(IMAGE_ENDINGS):
        yield DataError(f"{entry.path} is not an image file ({', '.join(IMAGE_ENDINGS)}).", remedy="Move it away.")
