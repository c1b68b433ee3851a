"""A copy of what is kept as objects, in a folder of this process: what is looked at is fetched, what is kept is put."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrator.objects import Found, Objects
from orchestrator.storage.atomic import is_temporary
from orchestrator.storage.uploads import Uploads

# Of objects that are fetched or put together, so many at a time.
AT_A_TIME = 8
_Item = TypeVar("_Item")


class Mirror:
    """The copy. All of it raises `orchestrator.objects.ObjectsError`.

    Args:
        objects: What is copied.
        root: Where to: a folder of this process alone.

    Attributes:
        guard: Called before each request that changes an object, with its name, or that of the folder in which it
            lies; raises `ObjectsError` if this process may not.
        token: Of the lock in whose name is written; empty if there is none.
        is_lost: Returns whether another process has taken that lock, as far as is known; or asks, if it is told so.
    """

    def __init__(self, objects: Objects, root: Path) -> None:
        self.objects, self.root = objects, root
        self.guard: Callable[[str], None] = unguarded
        self.token = ""
        self.is_lost: Callable[[bool], bool] = lambda _: False
        self._tags: dict[str, str] = {}
        self._fetching: dict[str, threading.Lock] = {}
        self._num_changing, self._changed = 0, threading.Condition()
        # What is to be put soon is newer here than there; or gone, if it was removed.
        self._newer_here: set[str] = set()
        self._gone: set[str] = set()
        self._looks = threading.local()
        self._uploads = Uploads(self._put_noted, what="the journals of cells")

    def fetch(self, path: Path) -> Path:
        """Have a file of the copy be what its object is, or not there; return `path`."""
        name = self._name_of(path)
        with self._fetching.setdefault(name, threading.Lock()):
            if name not in self._newer_here:
                self._fetch(name, path)
        return path

    def _fetch(self, name: str, path: Path) -> None:
        known = self._tags.get(name) if path.exists() else None
        seen = self._seen_beside(name)
        if seen is None:
            tag = self.objects.fetch(name, path, unless=known)
        else:
            tag = seen[name].tag if name in seen else None
            if tag not in (None, known):
                tag = self.objects.fetch(name, path)
        if tag is None:
            path.unlink(missing_ok=True)
            self._tags.pop(name, None)
        else:
            self._tags[name] = tag

    def fetch_below(self, folder: Path) -> Path:
        """Have a folder of the copy hold all that its objects are; one that has none is not there. Return `folder`."""
        found = self.below(folder)
        if not found:
            shutil.rmtree(folder, ignore_errors=True)
        _each(lambda each: self.fetch(self.root / each.name), found)
        return folder

    def names(self, folder: Path) -> list[str]:
        """Return what is in a folder, files and folders, by name; also what is to be put soon."""
        place = f"{self._name_of(folder)}/"
        here = {name for name in self._newer_here.copy() if name.startswith(place)}
        there = {each.name for each in self.below(folder)}
        return sorted({name.removeprefix(place).split("/")[0] for name in (there | here) - self._gone})

    def below(self, folder: Path) -> list[Found]:
        """Return all objects below a folder."""
        name = self._name_of(folder)
        seen = self._seen_beside(f"{name}/")
        if seen is None:
            return self.objects.list(name)
        return [found for found in seen.values() if found.name.startswith(f"{name}/")]

    def size_of(self, path: Path) -> int:
        """Return how many bytes a file has there, or all in a folder."""
        return sum(found.size for found in self.below(path.parent) if _is_of(found.name, self._name_of(path)))

    @contextmanager
    def glance(self, folder: Path) -> Iterator[None]:
        """Have all that is asked in the block of what lies in the folders of `folder` be answered by one look.

        In this thread alone: another may wait for what comes after the look.
        """
        if self._look is not None:
            yield
            return
        self._looks.now = _Look.at(self._name_of(folder), self.objects.list(self._name_of(folder)))
        try:
            yield
        finally:
            self._looks.now = None

    def keep(self, path: Path) -> None:
        """Put a file of the copy, or a folder in place of all that its objects are."""
        name = self._name_of(path)
        if not path.is_dir():
            self._put(name)
            return
        files = {self._name_of(file) for file in path.rglob("*") if file.is_file() and not is_temporary(file)}
        _each(self._put, files)
        self._delete(name, [found.name for found in self.objects.list(name) if found.name not in files])

    def keep_soon(self, path: Path) -> None:
        """Put a file of the copy as soon as possible, and wait for nothing."""
        name = self._name_of(path)
        self._gone.discard(name)
        self._newer_here.add(name)
        self._uploads.soon(name)

    def remove_soon(self, path: Path) -> None:
        """Remove a file here, and there as soon as possible, and wait for nothing."""
        path.unlink(missing_ok=True)
        name = self._name_of(path)
        self._gone.add(name)
        self._newer_here.add(name)
        self._uploads.soon(name)

    def remove(self, *paths: Path) -> None:
        """Remove files and folders, which lie in one folder, here and there."""
        names = [self._name_of(path) for path in paths]
        self._put_no_more(names)
        folder = self._name_of(paths[0].parent)
        found = self.objects.list(folder)
        self._delete(folder, [each.name for each in found if any(_is_of(each.name, name) for name in names)])
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def remove_whole(self, folder: Path) -> None:
        """Remove a folder with all in it, here and there."""
        name = self._name_of(folder)
        self._put_no_more([name])
        self._delete(name, [each.name for each in self.objects.list(name)])
        shutil.rmtree(folder, ignore_errors=True)

    def forget(self, folder: Path) -> None:
        """Remove the copy of a folder, which takes room; what is not put yet stays, and all beside it."""
        name = self._name_of(folder)
        if any(_is_of(newer, name) for newer in self._newer_here.copy() - self._gone):
            return
        shutil.rmtree(folder, ignore_errors=True)
        for tags in (self._tags, self._fetching):
            for known in [known for known in tags.copy() if _is_of(known, name)]:
                tags.pop(known, None)

    def flush(self, timeout_s: float) -> list[str]:
        """Wait until what was to be kept soon is kept; return the names of what is not by then."""
        return self._uploads.flush(timeout_s)

    def end(self, guard: Callable[[str], None]) -> None:
        """Have another guard, and give up what was to be kept soon; return once nothing that the one before has let
        pass is under way."""
        self.guard = guard
        self._uploads.abandon()
        with self._changed:
            self._changed.wait_for(lambda: not self._num_changing)

    @contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        """Have the block, which is one request, be guarded."""
        with self._changed:
            self._num_changing += 1
        try:
            self.guard(name)
            yield
        finally:
            with self._changed:
                self._num_changing -= 1
                self._changed.notify_all()

    def _put(self, name: str) -> None:
        with self._changing(name):
            self._tags[name] = self.objects.put(name, self.root / name)

    def _put_noted(self, name: str) -> None:
        with self._changing(name):
            if name in self._gone:
                self.objects.delete([name])
                return
            try:
                content = (self.root / name).read_bytes()  # it is added to meanwhile
            except FileNotFoundError:
                return  # and what was removed needs no putting
            self.objects.put(name, content)

    def _delete(self, folder: str, names: Collection[str]) -> None:
        with self._changing(folder):
            self.objects.delete(names)

    def _put_no_more(self, places: Iterable[str]) -> None:
        for name in [name for name in self._newer_here.copy() if any(_is_of(name, place) for place in places)]:
            self._uploads.forget(name)
            self._newer_here.discard(name)
            self._gone.discard(name)

    @property
    def _look(self) -> _Look | None:
        look: _Look | None = getattr(self._looks, "now", None)
        return look

    def _seen_beside(self, name: str) -> Mapping[str, Found] | None:
        """Return what a look has seen in the folder of `name`; None if nobody has looked there."""
        return self._look.beside(name) if self._look is not None else None

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


@dataclass(frozen=True)
class _Look:
    """What was there at some moment, in the folders of a folder.

    Attributes:
        of: The name of that, with ``/``.
        by_folder: All below each of them, by name.
    """

    of: str
    by_folder: Mapping[str, Mapping[str, Found]]

    @classmethod
    def at(cls, folder: str, found: Iterable[Found]) -> _Look:
        by_folder: dict[str, dict[str, Found]] = {}
        for each in found:
            by_folder.setdefault(each.name.removeprefix(f"{folder}/").split("/")[0], {})[each.name] = each
        return cls(f"{folder}/", by_folder)

    def beside(self, name: str) -> Mapping[str, Found] | None:
        if not name.startswith(self.of):
            return None
        folder = name.removeprefix(self.of).split("/")[0]
        if folder:
            return self.by_folder.get(folder, {})
        return {each.name: each for found in self.by_folder.values() for each in found.values()}


def unguarded(_: str) -> None:
    """Let whoever has no lock write what needs none."""


def _is_of(name: str, place: str) -> bool:
    """Return whether an object is what has that name, or lies in it."""
    return name == place or name.startswith(f"{place}/")


def _each(act: Callable[[_Item], object], items: Iterable[_Item]) -> None:
    """Do the same for each, several at a time; raise what the first of them raises."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(act, items))
