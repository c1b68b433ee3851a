"""Images in folders of classes: ``SPLIT/CLASS/FILE``."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from orchestrator.data.image_files import IMAGE_ENDINGS, FileSamples, refuse_dangling, visible
from orchestrator.data.table import is_table
from orchestrator.errors import DataError

ACCENTS = (
    "but is not: an accent is part of its letter in one (NFC) and a character of its own in the other (NFD), as on a "
    "Mac."
)
CONVERT = "Rename one, e.g. all by convmv -r -f utf8 -t utf8 --nfc --notest FOLDER."


def look_alike(names: Iterable[str]) -> list[str]:
    """Return what is written in two ways that look the same, in one of them."""
    composed = Counter(unicodedata.normalize("NFC", name) for name in names)
    return sorted(name for name, count in composed.items() if count > 1)


def list_classes(root: Path, split: str, *, remedy: str, besides: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the files of each class, both sorted; paths are relative to `root` with forward slashes.

    Args:
        root: The data set's folder.
        split: The folder in it that holds the classes; empty: `root` itself.
        remedy: What is said to do if a folder cannot be listed.
        besides: Files that may lie in `root` beside the classes, or in a folder of their own.

    Raises:
        DataError: Something else lies there; names all of it.
    """
    refuse_dangling(root / split)
    errors: list[DataError] = []
    files_of_class: dict[str, list[str]] = {}
    for folder in visible(root / split, remedy=remedy):
        if split == "" and _is_beside(folder, besides):
            continue
        try:
            files_of_class[folder.name] = _list_class(folder, split, remedy=remedy)
        except DataError as error:
            errors.append(error)
    if alike := look_alike(files_of_class):
        where = root / split
        errors.append(
            DataError(f"{where}: {', '.join(alike)} looks the same in two folders, {ACCENTS}", remedy=CONVERT)
        )
    if errors:
        raise DataError.all_in_one(errors, what=f"things in {root / split} are not as they should be")
    return files_of_class


def _is_beside(entry: os.DirEntry[str], besides: Sequence[str]) -> bool:
    """Return whether this is one of `besides`, or a folder without images that holds one."""
    if entry.name not in {PurePosixPath(path).parts[0] for path in besides}:
        return False
    return not os.path.isdir(entry.path) or not any(map(_is_image, os.listdir(entry.path)))


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def _list_class(folder: os.DirEntry[str], split: str, *, remedy: str) -> list[str]:
    refuse_dangling(folder.path)
    if not folder.is_dir():
        raise DataError(
            f"{folder.path} lies among the class folders{f' of {split}' if split else ''}.",
            remedy=f"Write csv: {folder.name} below image_folder if it says labels or groups; else move it away."
            if split == "" and is_table(folder.name)
            else "Move it away.",
        )
    files = visible(Path(folder.path), remedy=remedy)
    if not files:
        raise DataError(f"{folder.path} holds no image.", remedy="Fill it, or remove the class from every split.")
    if errors := [error for entry in files for error in _problems(entry)]:
        raise DataError.all_in_one(errors, what=f"files of {folder.path} are no images")
    return ["/".join(filter(None, (split, folder.name, entry.name))) for entry in files]


def _problems(entry: os.DirEntry[str]) -> Iterator[DataError]:
    """Yield what is wrong with an entry of a class folder, if anything is."""
    try:
        refuse_dangling(entry.path)
    except DataError as error:
        yield error
        return
    if entry.is_dir():
        yield DataError(
            f"{entry.path} is a folder where an image file is expected: ROOT/[{{train,test,val}}/]CLASS/FILE.",
            remedy=f"Move its images up into {os.path.dirname(entry.path)}, or move it away.",
        )
    elif not entry.is_file() or not _is_image(entry.name):
        yield DataError(f"{entry.path} is not an image file ({', '.join(IMAGE_ENDINGS)}).", remedy="Move it away.")


def require_same_classes(root: Path, train: str, split: str, *, of_train: Iterable[str], other: Iterable[str]) -> None:
    """Raise DataError if two splits, `train` and `split`, have other class folders."""
    differing = sorted(set(of_train) ^ set(other))
    if not differing:
        return
    if alike := look_alike(differing):
        where = f"in {train} and {split}"
        raise DataError(f"{root}: {', '.join(alike)} looks the same {where}, {ACCENTS}", remedy=CONVERT)
    raise DataError(
        f"{root}: the classes of {train} and {split} differ in {', '.join(differing)}.",
        remedy="Give every split the same class folders.",
    )


def samples_of(root: Path, files_of_class: Mapping[str, Sequence[str]], reference: str) -> FileSamples:
    """Return the files of all classes, labelled by the order of the classes."""
    ids = [name for files in files_of_class.values() for name in files]
    labels = np.repeat(np.arange(len(files_of_class)), [len(files) for files in files_of_class.values()])
    return FileSamples(root, ids, labels.astype(np.int64), reference)
