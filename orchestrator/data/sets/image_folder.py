"""A data set of image files of your own, in the layouts that people have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.amounts import counted, some
from orchestrator.data.dataset import Source
from orchestrator.data.image_files import FileSamples, refuse_dangling
from orchestrator.data.sets.class_folders import list_classes, require_same_classes, samples_of
from orchestrator.data.sets.held_out import HELD_OUT, held_out_fifth
from orchestrator.data.sets.image_table import ImageTable
from orchestrator.data.sets.split_folders import LAYOUT, split_folders, unread
from orchestrator.errors import DataError


def open_image_folder(
    root: Path,
    *,
    splits: Mapping[str, str] | None = None,
    csv: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Source:
    """Lists the files below ``root``; decodes none.

    ::

        ROOT/{train,test[,val]}/CLASS/FILE       splits of your own; other names of their folders by ``splits``
        ROOT/{train,val}/CLASS/FILE              a stratified fifth of train becomes test
        ROOT/CLASS/FILE                          a stratified fifth becomes test
        ROOT/LABELS.csv and files anywhere       a row for each image: its file and label, its split and group if known

    The classes are the folders of ``train`` in alphabetical order, and those of the other splits must be the same.
    Hidden files and folders are passed over. The samples of a split are in the order of their paths. A table without a
    column of labels only says which images belong together; the folders are then as above.

    Args:
        root: The folder.
        splits: What the folders of the splits, or the splits in the table, are called: e.g. ``{"val": "valid"}``; see
            `names_of_splits`.
        csv: The table, below ``root``.
        columns: What the columns ``image``, ``label``, ``split`` and ``group`` of the table are called, where they are
            not called as usual.

    Raises:
        DataError: A folder is missing or empty, the classes of two splits differ, a file's name is not an image's, or
            table and files do not agree.
    """
    refuse_dangling(root)
    table = ImageTable.read(root, csv, columns or {}) if csv is not None else None
    if table is not None and table.has_labels:
        class_names, parts, not_read = table.parts(splits or {})
    else:
        if table is not None and table.has_splits:
            raise DataError(
                f"{table.path} says the split of each image, but not its label.",
                remedy="Name the column: columns: {label: COLUMN}; or the splits by folders.",
            )
        class_names, parts, not_read = _listed(root, splits or {}, csv)
    grouped_by = ""
    if table is not None and table.has_groups:
        parts = {split: replace(samples, groups=table.groups_of(samples.ids)) for split, samples in parts.items()}
        grouped_by = table.grouped_by
    ships_test = "test" in parts
    if not ships_test:
        parts["train"], parts["test"] = held_out_fifth(parts["train"], class_names)
    return Source(
        class_names,
        train=parts["train"],
        test=parts["test"],
        val=parts.get("val"),
        grouped_by=grouped_by,
        test_is="" if ships_test else HELD_OUT,
        not_read=not_read,
    )


def _listed(
    root: Path, splits: Mapping[str, str], csv: str | None
) -> tuple[tuple[str, ...], dict[str, FileSamples], str]:
    """Return classes, samples by split, and what is not read, by the folders."""
    folders = split_folders(root, splits)
    listing, errors = {}, []
    for split, folder in folders.items() or [("train", "")]:
        try:
            listing[split] = list_classes(root, folder, remedy=LAYOUT, besides=[csv] if csv else [])
        except DataError as error:
            errors.append(error)
    if errors:
        raise DataError.all_in_one(errors, what=f"things in {root} are not as they should be")
    class_names = tuple(listing["train"])
    if len(class_names) < 2:
        raise DataError(
            f"{root / folders.get('train', '')} holds {counted(len(class_names), 'class folder')}: classification "
            "needs two or more.",
            remedy="" if class_names else LAYOUT,
        )
    for split in listing:
        names = folders.get("train", ""), folders.get(split, "")
        require_same_classes(root, *names, of_train=listing["train"], other=listing[split])
    reference = next(iter(listing["train"].values()))[0]
    samples = {split: samples_of(root, files_of_class, reference) for split, files_of_class in listing.items()}
    return class_names, samples, some(unread(root, folders, csv)) if folders else ""
