"""The seam: what a storage must be able to do with objects, which are named bytes that are written whole."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.errors import UserError


class ObjectsError(UserError, OSError):
    """Objects that cannot be read or written: a mistake of the user's, or trouble as a disk may have it, too.

    Attributes:
        can_pass: Whether the same may succeed later, without anybody's doing.
    """

    def __init__(self, message: str, *, allowed: str = "", remedy: str = "", can_pass: bool = False) -> None:
        super().__init__(message, allowed=allowed, remedy=remedy)
        self.can_pass = can_pass


@dataclass(frozen=True)
class Found:
    """An object that is there.

    Attributes:
        name: Relative, with ``/``.
        size: In bytes.
        tag: Changes with the content; it is not always what `Objects.replace` asks for.
    """

    name: str
    size: int
    tag: str


class Objects(Protocol):
    """Objects below one place. A reader sees the old content or the new one, never a part, and sees it at once.

    All of it raises `ObjectsError`, and may be asked from several threads.
    """

    @property
    def shown(self) -> str:
        """The place, for people."""
        ...

    def list(self, below: str = "") -> list[Found]:
        """Return what is there, by name; of a folder alone if it is named, without the last ``/``."""
        ...

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return the content of an object, and by what it can be replaced; None if it is not there."""
        ...

    def fetch(self, name: str, path: Path, *, unless: str | None = None) -> str | None:
        """Write the content of an object to `path`, whole; return its tag, None if it is not there.

        Args:
            name: Which.
            path: The file; its folder is made if need be.
            unless: The tag of the content that is at `path` already: then nothing is written.
        """
        ...

    def put(self, name: str, content: bytes | Path) -> str:
        """Write an object whole, in place of what is there, the content, or the file that has it; return its tag.

        Raises:
            FileNotFoundError: There is no such file.
        """
        ...

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object that is not there.

        Returns:
            By what it can be replaced; None if it is there, and then nothing is written.
        """
        ...

    def replace(self, name: str, content: bytes, *, version: str) -> str | None:
        """Write an object that is still the one that was read or written.

        Args:
            name: Which.
            content: Unlike any other that is written there: where the answer gets lost, it says whose it is.
            version: What `read`, `create` or `replace` returned.

        Returns:
            By what it can be replaced then; None if it has changed or is gone, and then nothing is written.
        """
        ...

    def delete(self, names: Collection[str]) -> None:
        """Remove objects; that one is not there does no harm."""
        ...
