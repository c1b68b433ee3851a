"""The cluster that a sweep would join."""

from __future__ import annotations

import pytest
from scene import Scene


def test_a_cluster_that_nobody_answers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    answer = scene.doctor()
    assert answer.code == 1
    assert "RAY_ADDRESS = 127.0.0.1:1" in answer.out
