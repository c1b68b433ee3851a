"""A file with random contents in the folder of results: who can read it on another machine sees the same folder."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.folders import nearest_folder
from orchestrator.storage.folder import Storage


@dataclass(frozen=True)
class Marker:
    """One such file.

    Attributes:
        path: Absolute.
        text: What is in it, and in no other.
    """

    path: Path
    text: str

    @classmethod
    def written(cls, folder: Path) -> Marker:
        """Write one into a folder; raise OSError if that is not possible."""
        marker = cls(folder / "marker", secrets.token_hex(16))
        marker.path.write_text(marker.text)
        return marker


@contextmanager
def marked(storage: Storage) -> Iterator[Marker]:
    """Have a marker in a folder of results, or in what it would be made in; nothing is left of it at the end.

    Raises:
        UserError: Nothing can be written there.
    """
    with ExitStack() as left:
        try:
            folder = Path(tempfile.mkdtemp(prefix="zetasweep-", dir=nearest_folder(storage.root)))
            left.callback(shutil.rmtree, folder, ignore_errors=True)
            marker = Marker.written(folder)
        except OSError as error:
            raise storage.unusable("not writable", error) from error
        yield marker
