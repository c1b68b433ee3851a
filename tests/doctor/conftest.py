"""What the tests of ``zetasweep doctor`` share."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Call
from scene import Scene


@pytest.fixture
def scene(tmp_path: Path, call: Call, new_store: Path) -> Scene:
    return Scene(tmp_path, call, new_store)
