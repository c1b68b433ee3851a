"""Places for objects that need no server."""

from __future__ import annotations

from pathlib import Path

import pytest
from bucket_machines import ADDRESS, Machines

from orchestrator.objects import BucketObjects, Objects


@pytest.fixture
def memory() -> Objects:
    """A bucket in memory, as obstore has it."""
    pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
    from obstore.store import MemoryStore

    return BucketObjects(ADDRESS, named="storage", store=MemoryStore(), patience_s=0)


@pytest.fixture
def machines(memory: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Machines around a bucket in memory."""
    return Machines(memory, tmp_path, monkeypatch)
