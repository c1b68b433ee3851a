"""Threads that put and beat go on whatever is raised in them: others wait for what they do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from orchestrator.objects import Objects
from orchestrator.storage import object_lock, uploads
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.object_lock import ObjectLock
from orchestrator.storage.uploads import Uploads


def test_what_nobody_expects_ends_no_upload_but_its_own(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(uploads, "PAUSE_S", 0.01)
    put: list[str] = []
    tried = threading.Event()

    def fail_once(name: str) -> None:
        if name == "bad":
            tried.set()
            raise RuntimeError("nobody expects it")
        put.append(name)

    found = Uploads(fail_once, what="the journals of cells")
    found.soon("bad")
    assert tried.wait(10)
    done = threading.Thread(target=lambda: found.forget("bad"), daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive(), "nobody waits for ever"
    assert found.flush(10) == []
    found.soon("good")
    assert found.flush(10) == []
    assert put == ["good"]
    assert any("are not kept: RuntimeError: nobody expects it" in line for line in said)
    assert any("are taken again" in line for line in said)


def test_a_beat_that_raises_what_nobody_expects_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lock, "BEAT_EVERY_S", 0.02)
    objects: Objects = FolderObjects(tmp_path)
    lock, whole_beat, beats = ObjectLock(objects, {}), ObjectLock.beat, []

    def beat(self: ObjectLock) -> None:
        beats.append(1)
        if len(beats) == 1:
            raise RuntimeError("nobody expects it")
        whole_beat(self)

    monkeypatch.setattr(ObjectLock, "beat", beat)
    with lock.held():
        deadline = time.monotonic() + 10
        while len(beats) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
