"""Machines that see one bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.objects import Address, Objects
from orchestrator.storage import object_storage
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.object_storage import ObjectStorage

ADDRESS = Address.of("s3://memory/runs")


class Machines:
    """Machines, or processes, that see one bucket.

    Args:
        objects: What is in it.
        folder: Where their copies go.
    """

    def __init__(self, objects: Objects, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects, self._folder, self._num = objects, folder, 0
        monkeypatch.setattr(object_storage, "BucketObjects", lambda *_, **__: objects)

    def another(self, *, token: str = "") -> ObjectStorage:
        """Return the storage as another of them sees it."""
        self._num += 1
        root = self._folder / f"machine {self._num}"
        mirror = Mirror(self.objects, root)
        mirror.token = token
        return ObjectStorage(root, "storage", address=ADDRESS, copies_in=self._folder, mirror=mirror)
