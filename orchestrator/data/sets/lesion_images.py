"""What the sets of skin lesions share: labels in tables, the images that they name, and which show the same lesion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from orchestrator.amounts import counted
from orchestrator.data.dataset import Source
from orchestrator.data.groups import read_grouping
from orchestrator.data.image_files import FileSamples, visible
from orchestrator.data.sets.held_out import HELD_OUT, held_out_fifth
from orchestrator.data.table import TABLE_ENDINGS, Table, image_key, read_table, tables_with
from orchestrator.errors import DataError

LAYOUT = "docs/data-sets.md shows the layout"
LESION = "lesion_id"
IMAGE_COLUMNS = ("image", "image_id", "isic_id", "image_name")
# Tables that are there for the lesions: one without the column is not passed over.
_LESION_TABLES = ("ham10000_metadata", "lesiongroupings")

Labels = dict[str, tuple[str, int]]
"""The name of each image as a table has it, and its label, by what all names of the image have in common."""


def one_hot_labels(table: Path, id_column: str, classes: Sequence[str], *, otherwise: int | None = None) -> Labels:
    """Return the label of each image of a table with one column per class.

    Args:
        table: Has a header.
        id_column: The column that names the image.
        classes: The columns, in the order of the labels.
        otherwise: The label of a row without a 1; the columns' labels then begin after it. None: there is no such row.
    """
    first = 0 if otherwise is None else 1
    labels: Labels = {}
    for name, *values in read_table(table).values(id_column, *classes):
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            raise DataError(f"{table}: {name} has {', '.join(values)} where 0 and 1 are expected.") from None
        if sorted(numbers) == [0.0] * (len(numbers) - 1) + [1.0]:
            label = first + numbers.index(1.0)
        elif otherwise is not None and not any(numbers):
            label = otherwise
        else:
            raise DataError(f"{table}: {name} has {', '.join(values)}: exactly one class is expected.")
        add_label(labels, name, label, table)
    return labels


def add_label(labels: Labels, name: str, label: int, table: Path) -> None:
    """Add the label of an image; raise DataError if `table` names the image twice."""
    name = name.strip()
    if image_key(name) in labels:
        raise DataError(f"{table}: {name} stands there twice. Remove one of the rows.")
    labels[image_key(name)] = (name, label)


def labelled_images(
    root: Path, folders: str | Sequence[str], labels: Labels, classes: Sequence[str], table: Path
) -> FileSamples:
    """Return the images of `folders` that `labels` name, in the order of their names.

    Raises:
        DataError: An image has no label, a label no image, a class no image, or two files are the same image.
    """
    folders = [folders] if isinstance(folders, str) else folders
    by_key: dict[str, str] = {}
    for name in (name for folder in folders for name in _jpegs(root, folder)):
        if other := by_key.get(image_key(name)):
            raise DataError(f"{root / other} and {root / name} are the same image by name. Remove one of them.")
        by_key[image_key(name)] = name
    where = " and ".join(str(root / folder) for folder in folders)
    if lost := sorted(name for key, (name, _) in labels.items() if key not in by_key):
        raise DataError(
            f"{table} names {lost[0]}, but {where} has no such image ({len(lost)} of {len(labels)} are missing). "
            "Unpack the images again.",
            details=lost,
        )
    if unknown := sorted(name for key, name in by_key.items() if key not in labels):
        raise DataError(
            f"{root / unknown[0]} has no label in {table} ({counted(len(unknown), 'image')} without one). Remove them, "
            "or download the table again.",
            details=unknown,
        )
    counts = np.bincount([label for _, label in labels.values()], minlength=len(classes))
    if counts.min() == 0:
        raise DataError(f"{table} has no image of class {classes[int(counts.argmin())]!r}. Download it again.")
    ids = sorted(by_key.values(), key=lambda name: name.rpartition("/")[2].rpartition(".")[0])
    return FileSamples(root, ids, np.array([labels[image_key(name)][1] for name in ids], dtype=np.int64), ids[0])


def _jpegs(root: Path, folder: str) -> list[str]:
    """Return the images of a folder, relative to `root`."""
    found = visible(root / folder, remedy=f"Put the images there; {LAYOUT}.")
    names = [entry.name for entry in found if entry.name.lower().endswith((".jpg", ".jpeg"))]
    return [name if folder == "." else f"{folder}/{name}" for name in names]


def with_lesions(tables: Iterable[Table], classes: tuple[str, ...], **parts: FileSamples) -> Source:
    """Return the data set with its lesions; a fifth of the training images becomes the test set if it has none.

    Args:
        tables: What says which images show the same lesion.
        classes: In the order of the labels.
        parts: The samples of ``train`` and, where the set has them, of ``val`` and ``test``.
    """
    ids = [name for samples in parts.values() for name in samples.ids]
    lesions = read_grouping(tables, LESION, IMAGE_COLUMNS, ids)
    parts = {part: replace(samples, groups=lesions.of(samples.ids)) for part, samples in parts.items()}
    train = parts["train"]
    if not {"val", "test"} <= parts.keys():
        _require_one_diagnosis(train, classes)
    held_out = "test" not in parts
    if held_out:
        parts["train"], parts["test"] = held_out_fifth(train, classes)
    return Source(
        classes,
        train=parts["train"],
        val=parts.get("val"),
        test=parts["test"],
        grouped_by=lesions.by,
        test_is=HELD_OUT if held_out else "",
    )


def _require_one_diagnosis(samples: FileSamples, classes: Sequence[str]) -> None:
    label_of: dict[str, int] = {}
    for group, label in zip(samples.groups or (), samples.labels.tolist(), strict=False):
        if label_of.setdefault(group, label) != label:
            raise DataError(
                f"group {group!r} has images of {classes[label_of[group]]!r} and {classes[label]!r}: one thing has one "
                "class.",
                remedy="Mend the table of lesions.",
            )


def lesion_tables(*folders: Path) -> list[Table]:
    """Return the tables in these folders that name lesions.

    Raises:
        DataError: One cannot be read, or is known to name the lesions, and does not.
    """
    for folder in filter(Path.is_dir, folders):
        for path in sorted(folder.iterdir()):
            if path.stem.lower().endswith(_LESION_TABLES) and path.suffix.lower() in TABLE_ENDINGS and path.is_file():
                read_table(path).first_of([LESION])
    return [table for folder in folders for table in tables_with(LESION, folder)]
