"""Storages of all kinds, which must do the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.objects import Address, BucketObjects, Objects
from orchestrator.storage.folder_objects import FolderObjects


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A place for objects, of each kind."""
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
    if request.param == "memory":
        from obstore.store import MemoryStore

        return BucketObjects(Address.of("s3://memory/below"), named="storage", store=MemoryStore())
    return BucketObjects(request.getfixturevalue("bucket"), named="storage", patience_s=2)
