"""A place for objects where each change is seen, and copies of it that a training writes to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from orchestrator.objects import Found, Objects
from orchestrator.storage.work import CopiedWork

KEY = "0123456789abcdef"
FOLDER = f"cells/{KEY}"


class Watched:
    """A place for objects that can be seen after each change, and where a put can be held up or refused.

    Attributes:
        seen: What was there after each change, by name.
        before_put: Called before each put.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects, self.seen = objects, [frozenset[str]()]
        self.before_put: Callable[[str], None] = lambda _: None

    @property
    def shown(self) -> str:
        return self._objects.shown

    def list(self, below: str = "") -> list[Found]:
        return self._objects.list(below)

    def read(self, name: str) -> tuple[bytes, str] | None:
        return self._objects.read(name)

    def fetch(self, name: str, path: Path, *, unless: str | None = None) -> str | None:
        return self._objects.fetch(name, path, unless=unless)

    def put(self, name: str, content: bytes | Path) -> str:
        self.before_put(name)
        tag = self._objects.put(name, content)
        self._see()
        return tag

    def create(self, name: str, content: bytes) -> str | None:
        return self._objects.create(name, content)

    def replace(self, name: str, content: bytes, *, version: str) -> str | None:
        return self._objects.replace(name, content, version=version)

    def delete(self, names: Collection[str]) -> None:
        for name in names:
            self._objects.delete([name])
            self._see()

    def _see(self) -> None:
        self.seen.append(frozenset(found.name.rpartition("/")[2] for found in self._objects.list(FOLDER)))


def copied(objects: Objects, path: Path, *, guard: Callable[[], None] = lambda: None) -> CopiedWork:
    return CopiedWork(objects, FOLDER, path, guard=guard)


def names(objects: Objects) -> list[str]:
    return [found.name.removeprefix(f"{FOLDER}/") for found in objects.list(FOLDER)]
