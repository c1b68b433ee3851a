"""Images of your own that a table names: the label of each, and its split and group where they are known."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from orchestrator.amounts import counted, some
from orchestrator.data.groups import in_one_spelling
from orchestrator.data.image_files import FileSamples
from orchestrator.data.sets.class_folders import ACCENTS, look_alike
from orchestrator.data.sets.images_below import ImagesBelow, images_below
from orchestrator.data.sets.split_folders import SPLITS, names_of_splits, split_meant
from orchestrator.data.table import Table, is_missing, is_no_label, plain_name, read_table
from orchestrator.errors import DataError

USUAL_COLUMNS = {
    "image": (
        *("image", "image_id", "isic_id", "image_name", "image_path", "img", "file", "filename", "file_name"),
        *("filepath", "file_path", "path"),
    ),
    "label": ("label", "class", "class_name", "diagnosis", "dx", "target", "category"),
    "split": ("split", "set", "subset", "partition"),
    "group": ("group", "group_id", "patient", "patient_id", "subject", "subject_id", "lesion", "lesion_id", "case_id"),
}
"""What the columns of such tables are called; spaces, hyphens and capitals do not count."""


@dataclass(frozen=True)
class ImageTable:
    """A table of images and the files below a folder.

    Attributes:
        root: The folder.
        table: As read.
        columns: Which column says what: keys of `USUAL_COLUMNS`, those that the table has.
        files: Every image below `root`.
    """

    root: Path
    table: Table
    columns: Mapping[str, str]
    files: ImagesBelow

    @classmethod
    def read(cls, root: Path, name: str, columns: Mapping[str, str]) -> ImageTable:
        """Read a table.

        Args:
            root: The folder.
            name: The table's, below `root`.
            columns: What the columns are called, where that is said.

        Raises:
            DataError: It cannot be read, or it is not clear which column is meant.
        """
        table = read_table(root / name)
        found = {kind: _column(table, kind, columns.get(kind)) for kind in USUAL_COLUMNS}
        known = {kind: column for kind, column in found.items() if column is not None}
        if "image" not in known:
            raise DataError(
                f"{table.path} has no column of images: its columns are {', '.join(table.columns)}.",
                allowed=f"one of {', '.join(USUAL_COLUMNS['image'])}",
                remedy="Write columns: {image: COLUMN} below image_folder.",
            )
        if not known.keys() & {"label", "group"}:
            raise DataError(
                f"{table.path} has neither labels nor groups: its columns are {', '.join(table.columns)}.",
                remedy="Write columns: {label: COLUMN} or {group: COLUMN} below image_folder.",
            )
        return cls(root, table, known, ImagesBelow(images_below(root)))

    @property
    def path(self) -> Path:
        """Its file."""
        return self.table.path

    @property
    def has_labels(self) -> bool:
        """Whether it says the class of each image."""
        return "label" in self.columns

    @property
    def has_splits(self) -> bool:
        """Whether it says the split of each image."""
        return "split" in self.columns

    @property
    def has_groups(self) -> bool:
        """Whether it says which images belong together."""
        return "group" in self.columns

    @property
    def grouped_by(self) -> str:
        """What says which images belong together."""
        return f"{self.columns['group']} in {self.path.name}"

    def parts(self, splits: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, FileSamples], str]:
        """Return the classes, the samples of each split, and what of the files is not read.

        Args:
            splits: What the splits are called in the table, see `names_of_splits`.

        Raises:
            DataError: A row has no file, no label or no split, two rows have the same file, a split lacks a class, or
                splits are named where the table has none.
        """
        if splits and not self.has_splits:
            raise DataError(
                f"{self.path} has no column of splits, and splits says what they are called in it.",
                remedy="Name the column: columns: {split: COLUMN} below image_folder; or remove splits.",
            )
        label_of = self._said("label")
        unsaid = {"label": is_no_label, **({"split": is_missing} if self.has_splits else {})}
        for what, says_nothing in unsaid.items():
            if lost := [name for name, said in self._said(what).items() if says_nothing(said)]:
                raise DataError(
                    f"{self.path}: {counted(len(lost), 'image')} without a {what}: {some(lost)}.",
                    remedy="Fill them in, or remove the rows.",
                    details=lost,
                )
        class_names = tuple(sorted(set(label_of.values()), key=_in_order))
        self._refuse_alike(class_names)
        if not label_of:
            raise DataError(f"{self.path} has no row below its header.", remedy="Fill it.")
        if len(class_names) < 2:
            raise DataError(f"{self.path}: all images are of class {class_names[0]!r}: classification needs two.")
        split_of = self._split_of(splits) if self.has_splits else dict.fromkeys(label_of, "train")
        names = {split: sorted(name for name in label_of if split_of[name] == split) for split in SPLITS}
        place_of = {name: place for place, name in enumerate(class_names)}
        reference = min(label_of)
        parts = {}
        for split, members in names.items():
            if members or split == "train":
                labels = np.array([place_of[label_of[name]] for name in members], dtype=np.int64)
                if lacking := set(range(len(class_names))) - set(labels.tolist()):
                    raise DataError(
                        f"{self.path}: {split} has no image of class {class_names[min(lacking)]!r}.",
                        remedy="Every split needs images of every class.",
                    )
                parts[split] = FileSamples(self.root, members, labels, reference)
        return class_names, parts, ", ".join(self._not_read(label_of))

    def _not_read(self, named: Collection[str]) -> Iterator[str]:
        """Yield what of the folder says nothing: images without a row, and folders that are called like splits."""
        if unnamed := set(self.files.names) - set(named):
            yield f"{counted(len(unnamed), 'image')} not in {self.path.name}"
        folders = sorted({name.partition("/")[0] for name in named if "/" in name})
        if not self.has_splits and (splits := [folder for folder in folders if split_meant(folder)]):
            yield f"{some(splits)} as splits, since {self.path.name} has no column of them"

    def _refuse_alike(self, class_names: Sequence[str]) -> None:
        """Raise DataError if two labels look the same, or differ in capitals or in how a number is written alone (1, 01
        and 1.0): they would be two classes.
        """
        if alike := look_alike(class_names):
            raise DataError(
                f"{self.path}: {', '.join(alike)} looks the same in two rows, {ACCENTS}",
                remedy="Write it alike in all rows, e.g. the whole table by uconv -x nfc.",
            )
        first_of: dict[str, str] = {}
        for name in class_names:
            if (other := first_of.setdefault(_plain_label(name), name)) != name:
                what = "capitals" if _whole(name) is None else "how the number is written"
                raise DataError(
                    f"{self.path}: the labels {other!r} and {name!r} differ in {what} alone.",
                    remedy="Write them alike; if they are two classes, give one another name.",
                )

    def groups_of(self, ids: Sequence[str]) -> list[str]:
        """Return the group of each file; one whose group is missing is alone.

        Raises:
            DataError: The table does not name all of them.
        """
        group_of = self._group_of
        if lost := [name for name in ids if name not in group_of]:
            raise DataError(
                f"{self.path} covers {len(ids) - len(lost):,} of {len(ids):,} images; it lacks {some(lost)}.",
                remedy="Add them: without it, images of one thing could be trained on and tested on.",
                details=lost,
            )
        return [group_of[name] for name in ids]

    @cached_property
    def _group_of(self) -> Mapping[str, str]:
        said = self._said("group")
        called = in_one_spelling(said.values())
        return {name: f"{name} alone" if is_missing(group) else called[group] for name, group in said.items()}

    def _split_of(self, splits: Mapping[str, str]) -> dict[str, str]:
        said = self._said("split")
        meant = {value: self._split(value, splits) for value in dict.fromkeys(said.values())}
        return {name: meant[value] for name, value in said.items()}

    def _split(self, value: str, splits: Mapping[str, str]) -> str:
        names = names_of_splits(splits)
        known = {plain_name(name): split for split, name in names.items()}
        if plain_name(value) not in known:
            raise DataError(
                f"{self.path}: {self.columns['split']} = {value!r} is no split.",
                allowed=", ".join(names.values()),
                remedy=f"Write splits: {{val: {value}}} below image_folder if it is one.",
            )
        return known[plain_name(value)]

    def _said(self, kind: str) -> dict[str, str]:
        """Return what the rows say of each file in the column of this kind."""
        place = list(self.columns).index(kind)
        return {name: values[place] for name, values in self._rows.items()}

    @cached_property
    def _rows(self) -> Mapping[str, list[str]]:
        """What the rows say of each file, in the order of `columns`."""
        found: dict[str, list[str]] = {}
        lost = []
        place = list(self.columns).index("image")
        for values in self.table.values(*self.columns.values()):
            name = values[place]
            files = self.files.named(name)
            if len(files) > 1:
                raise DataError(
                    f"{self.path}: {name} may be {some(files)}.", remedy=f"Write it with its folder, below {self.root}."
                )
            if not files:
                lost.append(name)
            elif found.setdefault(files[0], values) is not values:
                raise DataError(f"{self.path}: {name} stands there twice.", remedy="Remove one of the rows.")
        if lost and (self.has_labels or not found):
            raise DataError(
                f"{self.path}: {counted(len(lost), 'row')} of {len(lost) + len(found):,} "
                f"{'names' if len(lost) == 1 else 'name'} no image below {self.root}: {some(lost)}.",
                remedy="Put them there, or remove the rows.",
                details=lost,
            )
        return found


def _column(table: Table, kind: str, said: str | None) -> str | None:
    """Return the column that says the `kind` of thing; None if no column does."""
    if said is not None:
        return table.first_of([said])
    found = [column for column in USUAL_COLUMNS[kind] if table.has(column)]
    if len(found) > 1:
        raise DataError(
            f"{table.path}: {' and '.join(found)} may both be the column {kind}.",
            remedy=f"Write columns: {{{kind}: {found[0]}}} below image_folder.",
        )
    return found[0] if found else None


def _in_order(label: str) -> tuple[int, str]:
    """Numbers as numbers, before words."""
    return (int(label) if _is_number(label) else 10**9, label)


def _plain_label(label: str) -> str:
    return _whole(label) or plain_name(label)


def _whole(label: str) -> str | None:
    """Return a whole number as it is written shortest, None if it is none; pandas writes 1.0 where one was missing."""
    written = re.fullmatch(r"(\d{1,9})(\.0*)?", label)
    return str(int(written[1])) if written else None


def _is_number(label: str) -> bool:
    return re.fullmatch(r"\d{1,9}", label) is not None
