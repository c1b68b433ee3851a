"""What the tests of ``zetasweep doctor`` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from commands import Call
from scene import Scene


@pytest.fixture
def scene(tmp_path: Path, call: Call, new_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield Scene(tmp_path, call, new_store)
    mlflow.set_tracking_uri(None)
