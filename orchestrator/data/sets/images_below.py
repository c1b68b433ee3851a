"""The images below a folder, found by what a table may call them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from orchestrator.data.image_files import IMAGE_ENDINGS, refuse_dangling, visible
from orchestrator.errors import DataError


class ImagesBelow:
    """The images below a folder, by what a table may call them: with or without folders, ending, capitals."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self._exact = names, frozenset(names)
        self._by_key: dict[str, list[str]] = {}
        self._folders: set[str] = set()
        for name in names:
            steps = _steps(name)
            self._folders.update(steps[:-1])
            for first in range(len(steps)):
                self._by_key.setdefault("/".join(steps[first:]), []).append(name)

    def named(self, name: str) -> list[str]:
        """Return the files that are meant, that of exactly this path before others; folders in front that do not exist
        here do not count.
        """
        if name.replace("\\", "/") in self._exact:
            return [name.replace("\\", "/")]
        steps = _steps(name)
        while steps:
            if files := self._by_key.get("/".join(steps)):
                return [file for file in files if file.endswith(name)] or files if len(files) > 1 else files
            if steps.pop(0) in self._folders:
                break
        return []


def _steps(name: str) -> list[str]:
    plain = unicodedata.normalize("NFC", name.strip()).replace("\\", "/").casefold()
    stem, ending = os.path.splitext(plain)
    return [step for step in (stem if ending in IMAGE_ENDINGS else plain).split("/") if step not in ("", ".")]


def images_below(folder: Path, prefix: str = "", above: tuple[str, ...] = ()) -> list[str]:
    """Return the images below a folder; `above` are the real paths of the folders that it was reached through.

    Raises:
        DataError: A folder cannot be listed, or a symbolic link leads nowhere or to a folder above it.
    """
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(
            f"{folder} leads back to {real}, which it lies in: a symbolic link makes a circle.", remedy="Remove it."
        )
    names = []
    for entry in visible(folder, remedy="Images of your own lie in dataset.folder below data_dir."):
        if entry.is_symlink():
            refuse_dangling(entry.path)
        if entry.is_dir():
            names += images_below(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
        elif entry.name.lower().endswith(IMAGE_ENDINGS):
            names.append(f"{prefix}{entry.name}")
    return names
