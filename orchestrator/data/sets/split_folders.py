"""Which folder of images of your own is which split, and what the splits are called in a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path, PurePosixPath

from orchestrator.data.image_files import visible
from orchestrator.data.table import is_table, plain_name
from orchestrator.errors import DataError

SPLITS = ("train", "test", "val")
# What people call the folders of splits: never taken for classes, nor passed over.
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), "val"),
}
LAYOUT = (
    "Images are expected as ROOT/{train,test[,val]}/CLASS/FILE or ROOT/CLASS/FILE, or named by a table (csv), with "
    "ROOT = dataset.folder below data_dir."
)


def names_of_splits(splits: Mapping[str, str]) -> dict[str, str]:
    """Return what each split is called, in the order of `SPLITS`: as it was said, else as usual.

    A split whose usual name was said to be another's has none, and is not there: one folder would be two splits.
    """
    taken = {plain_name(name) for name in splits.values()}
    return {split: splits.get(split, split) for split in SPLITS if split in splits or split not in taken}


def split_meant(word: str) -> str | None:
    """Return the split that people call so, whatever the capitals; None if it is none's name."""
    return _SPLIT_WORDS.get(word.lower())


def split_folders(root: Path, splits: Mapping[str, str]) -> dict[str, str]:
    """Return the folder of each split that is there, in the order of `SPLITS`; none if classes lie in `root` itself.

    A split that is not named is looked for in `root`, and beside those that are.

    Raises:
        DataError: A folder that was named is missing, train is, two splits are one folder, or a folder is called like a
            split and would be passed over or taken for a class.
    """
    for split, folder in splits.items():
        if not os.path.lexists(root / folder):
            raise DataError(f"{root / folder} is missing: splits names it for {split}.", remedy=LAYOUT)
    folders: dict[str, str] = {}
    parents = _parents(splits)
    for split, name in names_of_splits(splits).items():
        # Also where one is a link to a disk that is not there: a part of train instead would be another experiment.
        beside = [str(parent / name) for parent in parents if os.path.lexists(root / parent / name)]
        places = [name] if split in splits else beside
        if len(places) > 1:
            raise DataError(
                f"{' and '.join(str(root / place) for place in places)} may both be {split}.",
                remedy=f"Write splits: {{{split}: {places[0]}}} below image_folder, and move the other away.",
            )
        if places:
            folders[split] = places[0]
    _refuse_alike(root, folders, splits)
    if folders and "train" not in folders:
        raise DataError(f"{root / 'train'} is missing.", remedy=LAYOUT)
    _refuse_one_for_two(root, folders)
    return folders


def unread(root: Path, folders: Mapping[str, str], csv: str | None) -> list[str]:
    """Return what lies beside the folders of the splits and somebody may expect to be read: folders, and tables."""
    read = [*folders.values(), *([csv] if csv else [])]
    return [
        path
        for path, entry in _around(root, folders)
        if not _leads_to(path, read) and (os.path.isdir(entry.path) or is_table(entry.name))
    ]


def _parents(folders: Mapping[str, str]) -> list[PurePosixPath]:
    """Return the root, and each folder below it that holds a split."""
    return sorted({PurePosixPath(), *(PurePosixPath(folder).parent for folder in folders.values())})


def _around(root: Path, folders: Mapping[str, str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what lies in the root and in each folder that holds a split, with its path below the root."""
    for parent in _parents(folders):
        for entry in visible(root / parent, remedy=LAYOUT):
            yield str(parent / entry.name), entry


def _leads_to(path: str, read: list[str]) -> bool:
    return any(PurePosixPath(place).is_relative_to(path) for place in read)


def _refuse_alike(root: Path, folders: Mapping[str, str], splits: Mapping[str, str]) -> None:
    for path, entry in _around(root, folders):
        if entry.name.lower() in _SPLIT_WORDS and not _leads_to(path, list(folders.values())):
            split = next((known for known in ("test", "train") if entry.name.lower().startswith(known)), "val")
            said = f", or write splits: {{{split}: {path}}} below image_folder" if split not in splits else ""
            raise DataError(
                f"{root / path} is not read: the folders of the splits are called "
                f"{', '.join(names_of_splits(splits).values())}.",
                remedy=f"Rename it{said or ' or move it away'}.",
            )


def _refuse_one_for_two(root: Path, folders: Mapping[str, str]) -> None:
    for first, second in combinations(folders, 2):
        one, other = root / folders[first], root / folders[second]
        if one.exists() and other.exists() and one.samefile(other):
            raise DataError(
                f"{one} and {other} are one folder: {first} and {second} would have the same images.",
                remedy="Give each split images of its own.",
            )
