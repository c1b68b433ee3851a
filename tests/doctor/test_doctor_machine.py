"""The cluster that a sweep would join."""

from __future__ import annotations

import pytest
from scene import Scene


def test_a_cluster_that_nobody_answers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    answer = scene.doctor()
    assert answer.code == 1
    assert "RAY_ADDRESS = 127.0.0.1:1" in answer.out


@pytest.mark.parametrize(("address", "said"), [("local", "RAY_ADDRESS is local"), (None, "RAY_ADDRESS is not set")])
def test_a_cluster_of_its_own(scene: Scene, monkeypatch: pytest.MonkeyPatch, address: str | None, said: str) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("orchestrator.environment._starts_its_own", False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    assert f"Ray: {said}, run starts its own on this machine" in scene.doctor().out


def test_what_ray_will_not_find_as_it_expects(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null/none")
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null/none")
    answer = scene.doctor()
    assert answer.code == 0, answer.out
    assert "Ray's token is in no file, this sweep alone knows it: /dev/null cannot be written to" in answer.out
    assert "/dev/null/none/ray: Not a directory" in answer.out
