"""Disks without room."""

from __future__ import annotations

import pytest
from scene import Scene

from orchestrator.doctor import disk


def test_a_disk_that_is_too_small(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FREE_BYTES", 10**18)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "the disk may become full" in answer.out
