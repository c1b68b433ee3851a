"""Something random that is written to the results: who can read it on another machine sees the same place."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.folders import nearest_folder
from orchestrator.objects import Address, ObjectsError
from orchestrator.storage.folder import Storage
from orchestrator.storage.object_storage import ObjectStorage


@dataclass(frozen=True)
class Marker:
    """One such file, or object.

    Attributes:
        name: The file, absolute; the name of the object.
        text: What is in it, and in no other.
        below: What the object is below; None for a file.
    """

    name: str
    text: str
    below: Address | None = None


@contextmanager
def marked(storage: Storage) -> Iterator[Marker]:
    """Have a marker in the results, or where they would be made; nothing is left of it at the end.

    Raises:
        UserError: Nothing can be written there.
    """
    text = secrets.token_hex(16)
    with ExitStack() as left:
        yield _object(storage, text, left) if isinstance(storage, ObjectStorage) else _file(storage, text, left)


def _object(storage: ObjectStorage, text: str, left: ExitStack) -> Marker:
    marker = Marker(f"marker-{secrets.token_hex(8)}", text, storage.address)
    left.callback(_delete, storage, marker.name)
    storage.objects.create(marker.name, text.encode())
    return marker


def _delete(storage: ObjectStorage, name: str) -> None:
    with suppress(ObjectsError):
        storage.objects.delete([name])


def _file(storage: Storage, text: str, left: ExitStack) -> Marker:
    try:
        folder = Path(tempfile.mkdtemp(prefix="zetasweep-", dir=nearest_folder(storage.root)))
        left.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "marker").write_text(text)
    except OSError as error:
        raise storage.unusable("not writable", error) from error
    return Marker(str(folder / "marker"), text)
