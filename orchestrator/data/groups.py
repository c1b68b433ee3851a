"""Images that belong together, such as those of one lesion: from tables to samples, and what a split tears apart.

What is not known is never filled in: a table that does not cover every image is refused, an image of which the table
says that its group is not known is a group of its own, and where nothing says anything, that is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.amounts import counted
from orchestrator.data.dataset import Samples, Source
from orchestrator.data.splits import Indices
from orchestrator.data.table import Table, image_key, is_missing, plain_name
from orchestrator.errors import DataError

NO_GROUPS = "none known: each image counts as a thing of its own"
_EXAMPLES = 3


@dataclass(frozen=True)
class Grouping:
    """Which group each image is in, by the tables that lie with the images.

    Attributes:
        group_of: The group of each image, by `image_key`; an image whose group is not known is one of its own.
        by: What says so, in words; empty if nothing does.
    """

    group_of: Mapping[str, str]
    by: str

    def of(self, ids: Sequence[str]) -> list[str] | None:
        """Return the group of each image; None if the tables name none of them.

        Args:
            ids: The files of one part of the data set.

        Raises:
            DataError: They name some.
        """
        keys = [image_key(name) for name in ids]
        lost = [name for name, key in zip(ids, keys, strict=True) if key not in self.group_of]
        if len(lost) == len(ids):
            return None
        if lost:
            raise DataError(
                f"{self.by} covers {len(ids) - len(lost):,} of {len(ids):,} images; it lacks {_some(lost)}.",
                remedy="Download the table again: without it, images of one thing could be trained on and tested on.",
                details=lost,
            )
        return [self.group_of[key] for key in keys]


def in_one_spelling(groups: Iterable[str]) -> dict[str, str]:
    """Return what each group is called: where it is spelled in several ways, by the first of them in the alphabet.

    Tables that were put together from several have ``P7`` and ``p7``, or ``7`` and, where a value was missing, ``7.0``.
    """
    names = sorted(set(groups))
    first_of = {_plain_group(name): name for name in reversed(names)}
    return {name: first_of[_plain_group(name)] for name in names}


def _plain_group(name: str) -> str:
    plain = plain_name(name.strip())
    whole = re.fullmatch(r"(-?\d+)\.0*", plain)
    return whole[1] if whole else plain


def read_grouping(tables: Iterable[Table], column: str, id_columns: Sequence[str], ids: Iterable[str]) -> Grouping:
    """Read which images belong together.

    Args:
        tables: All have `column`.
        column: What names the group.
        id_columns: What may name the image, the first that there is.
        ids: The files of all images.

    Raises:
        DataError: A table has no column for the image or names none of the images, or an image is in two groups.
    """
    known = {image_key(name) for name in ids}
    found: dict[str, tuple[str, Path]] = {}
    unknown, read = set(), []
    for table in tables:
        names = set()
        for name, group in table.values(table.first_of(id_columns), column):
            key = image_key(name)
            names.add(key)
            if is_missing(group):
                unknown.add(key)
            elif _plain_group(found.setdefault(key, (group, table.path))[0]) != _plain_group(group):
                other, path = found[key]
                raise DataError(
                    f"{table.path}: {name} is of {column} {group!r}, but of {other!r} in {path}.",
                    remedy="Mend or remove one of them.",
                )
        _require_some(table, names, known)
        read.append(table.path.name)
    unknown -= found.keys()
    called = in_one_spelling(group for group, _ in found.values())
    group_of = {key: called[group] for key, (group, _) in found.items()} | {key: f"{key} alone" for key in unknown}
    by = f"{column} in {' and '.join(read)}" if read else ""
    if num_unknown := len(unknown & known):
        by += f" ({counted(num_unknown, 'image')} without one: each alone)"
    return Grouping(group_of, by)


def describe_groups(source: Source) -> str:
    """Return in a line which images of a data set are known to belong together."""
    parts = source.parts.items()
    grouped = {part: samples.groups for part, samples in parts if samples.groups is not None}
    if not grouped:
        return NO_GROUPS
    num_groups = len({group for groups in grouped.values() for group in groups})
    text = f"{counted(num_groups, 'group')} of {counted(sum(map(len, grouped.values())), 'image')}"
    text += f", by {source.grouped_by}" if source.grouped_by else ""
    others = [part for part, samples in parts if samples.groups is None]
    return f"{text}; in {' and '.join(others)} {NO_GROUPS}" if others else text


def torn_groups(parts: Mapping[str, tuple[Samples, Indices]]) -> dict[str, dict[str, list[str]]]:
    """Return the groups that stand in two splits or more: the ids of their images, by split.

    Args:
        parts: The samples of each split, and which of them belong to it.
    """
    members: dict[str, dict[str, list[str]]] = {}
    for split, (samples, indices) in parts.items():
        if samples.groups is not None:
            for index in indices:
                members.setdefault(samples.groups[index], {}).setdefault(split, []).append(samples.ids[index])
    return {group: by_split for group, by_split in sorted(members.items()) if len(by_split) > 1}


def _require_some(table: Table, names: set[str], known: set[str]) -> None:
    if not names & known:
        raise DataError(
            f"{table.path} names none of the images: it has {_some(sorted(names))}, the images are "
            f"{_some(sorted(known))}.",
            remedy="Move the table away if it is another set's; else name the images as their files are named.",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (", …" if len(names) > _EXAMPLES else "") if names else "nothing"
