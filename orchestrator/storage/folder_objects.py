"""Objects in a folder: what a bucket does, for those who cannot tell which of the two a storage is."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from orchestrator.objects import Found
from orchestrator.storage.atomic import is_temporary, written_whole

_LOCK = ".objects.lock"


class FolderObjects:
    """The files below a folder: see `orchestrator.objects.Objects`. A link to elsewhere is no object.

    Args:
        root: Made by the first that is written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def shown(self) -> str:
        """The folder."""
        return str(self._root)

    def list(self, below: str = "") -> list[Found]:
        """See `Objects`."""
        files = (path for path in (self._root / below).rglob("*") if path.is_file() and not path.is_symlink())
        ours = sorted(path for path in files if not is_temporary(path) and path.name != _LOCK)
        return [
            Found(path.relative_to(self._root).as_posix(), path.stat().st_size, _tag(path.read_bytes()))
            for path in ours
        ]

    def read(self, name: str) -> tuple[bytes, str] | None:
        """See `Objects`."""
        try:
            content = (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        return content, _tag(content)

    def fetch(self, name: str, path: Path, *, unless: str | None = None) -> str | None:
        """See `Objects`."""
        found = self.read(name)
        if found is not None and found[1] != unless:
            with written_whole(path) as file:
                file.write(found[0])
        return None if found is None else found[1]

    def put(self, name: str, content: bytes | Path) -> str:
        """See `Objects`."""
        with self._alone():
            return self._write(name, content)

    def create(self, name: str, content: bytes) -> str | None:
        """See `Objects`."""
        with self._alone():
            return None if (self._root / name).exists() else self._write(name, content)

    def replace(self, name: str, content: bytes, *, version: str) -> str | None:
        """See `Objects`."""
        with self._alone():
            found = self.read(name)
            return self._write(name, content) if found is not None and found[1] == version else None

    def delete(self, names: Collection[str]) -> None:
        """See `Objects`; a folder that is empty then goes, too, as it does in a bucket."""
        with self._alone():
            for name in names:
                (self._root / name).unlink(missing_ok=True)
                for folder in (self._root / name).parents:
                    if folder == self._root or not folder.is_dir() or os.listdir(folder):
                        break
                    folder.rmdir()

    def _write(self, name: str, content: bytes | Path) -> str:
        if isinstance(content, Path):
            with content.open("rb") as read, written_whole(self._root / name) as file:
                shutil.copyfileobj(read, file)
                read.seek(0)
                return hashlib.file_digest(read, "sha256").hexdigest()
        with written_whole(self._root / name) as file:
            file.write(content)
        return _tag(content)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have what is looked at and what is written be one step."""
        self._root.mkdir(parents=True, exist_ok=True)
        with FileLock(self._root / _LOCK):
            yield


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
