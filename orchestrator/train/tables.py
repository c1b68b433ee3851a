"""The tables of a test: the metrics of each class, and which class was taken for which."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from orchestrator.spreadsheets import shielded
from orchestrator.storage.atomic import folder_written_whole, remove_whole, written_whole

if TYPE_CHECKING:
    from orchestrator.train.metrics import Judged, JudgedTest

PER_CLASS, CONFUSION, OF_GROUPS = "per_class.csv", "confusion_matrix.csv", "group"


def write_tables(folder: Path, tested: JudgedTest, class_names: Sequence[str]) -> None:
    """Write the tables of the images, and of the groups to a folder below it; `folder` appears whole, in place of one
    that is there.

    Args:
        folder: Where.
        tested: What to write.
        class_names: In the order of the labels; a spreadsheet does not compute them, see `shielded`.
    """
    if folder.is_dir():
        remove_whole(folder)
    with folder_written_whole(folder) as unfinished:
        _write(unfinished, tested.images, class_names, counted="images")
        if tested.groups is not None:
            _write(unfinished / OF_GROUPS, tested.groups, class_names, counted="groups")


def _write(folder: Path, judged: Judged, class_names: Sequence[str], *, counted: str) -> None:
    num_classes = len(class_names)
    support = judged.labels.bincount(minlength=num_classes).tolist()
    of_label = torch.split(judged.predicted[judged.labels.argsort()], support)
    # Row by row: a matrix of many classes is large.
    confusion = (predicted.bincount(minlength=num_classes).tolist() for predicted in of_label)
    by_class = zip(*(column.tolist() for column in judged.by_class.values()), strict=True)
    _write_csv(
        folder / PER_CLASS,
        header=["class", counted, *judged.by_class],
        rows=(
            [shielded(name), number, *("" if math.isnan(value) else repr(value) for value in values)]
            for name, number, values in zip(class_names, support, by_class, strict=True)
        ),
    )
    _write_csv(
        folder / CONFUSION,
        header=["class", *map(shielded, class_names)],
        rows=([shielded(name), *row] for name, row in zip(class_names, confusion, strict=True)),
    )


def _write_csv(path: Path, *, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    with written_whole(path) as file:
        file.write(text.getvalue().encode())
