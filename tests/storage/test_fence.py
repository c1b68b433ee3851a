"""Nobody changes what the next holder of a lock works on: not after a request that took long, and not after the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from bucket_machines import Machines

from orchestrator.objects import Found, Objects, ObjectsError
from orchestrator.records import Opened
from orchestrator.storage import journal, object_lock, object_storage
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.object_lock import HOLDS_S, NAME, ObjectLock

KEY = "0123456789abcdef"


class Slow:
    """A place for objects where requests take a while.

    Attributes:
        takes_s: How long each takes.
        now: The time, in seconds.
        before_change: Called as a request begins that changes something else than the lock.
    """

    shown = "s3://bucket/runs"

    def __init__(self, objects: Objects) -> None:
        self._objects, self.takes_s, self.now = objects, 0.0, 1000.0
        self.before_change: Callable[[], None] = lambda: None

    def list(self, below: str = "") -> list[Found]:
        self.now += self.takes_s
        return self._objects.list(below)

    def read(self, name: str) -> tuple[bytes, str] | None:
        self.now += self.takes_s
        return self._objects.read(name)

    def fetch(self, name: str, path: Path, *, unless: str | None = None) -> str | None:
        self.now += self.takes_s
        return self._objects.fetch(name, path, unless=unless)

    def put(self, name: str, content: bytes | Path) -> str:
        self.before_change()
        self.now += self.takes_s
        return self._objects.put(name, content)

    def create(self, name: str, content: bytes) -> str | None:
        self.now += self.takes_s
        return self._objects.create(name, content)

    def replace(self, name: str, content: bytes, *, version: str) -> str | None:
        self.now += self.takes_s
        return self._objects.replace(name, content, version=version)

    def delete(self, names: Collection[str]) -> None:
        self.before_change()
        self.now += self.takes_s
        self._objects.delete(names)


@pytest.mark.parametrize("takes_s", [0.0, 8.0, 15.0])
def test_whatever_is_changed_is_so_soon_after_a_beat(memory: Objects, tmp_path: Path, takes_s: float) -> None:
    slow = Slow(memory)
    lock = ObjectLock(slow, {}, clock=lambda: slow.now)
    assert lock.try_to_take()
    mirror, ages = Mirror(slow, tmp_path), []
    mirror.guard = lambda _: lock.confirm()
    slow.takes_s, slow.before_change = takes_s, lambda: ages.append(slow.now - lock._beaten_at)
    report = tmp_path / "report" / "sweep"
    report.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (report / name).write_text(name)
        memory.put(f"cells/{KEY}/{name}", b"1")
    mirror.keep(report)
    mirror.remove(tmp_path / "cells" / KEY / "a", tmp_path / "cells" / KEY / "b")
    mirror.remove_whole(tmp_path / "cells" / KEY)
    assert len(ages) == 6
    assert max(ages) <= HOLDS_S


def test_who_needs_longer_to_beat_than_a_beat_lasts_beats_again(memory: Objects) -> None:
    slow = Slow(memory)
    lock = ObjectLock(slow, {}, clock=lambda: slow.now)
    assert lock.try_to_take()
    durations = [2 * HOLDS_S, 1.0]
    whole_replace = slow.replace

    def replace(name: str, content: bytes, *, version: str) -> str | None:
        slow.takes_s = durations.pop(0)
        return whole_replace(name, content, version=version)

    slow.replace = replace  # type: ignore[method-assign]
    slow.now += HOLDS_S
    lock.confirm()
    assert durations == []
    assert slow.now - lock._beaten_at <= HOLDS_S


def test_after_the_end_nothing_of_the_cells_is_changed(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    """A bucket takes no journals until the sweep gives up; later it does, and there may be another sweep."""
    monkeypatch.setattr(object_storage, "FLUSH_S", 0.1)
    storage, whole_put, goes_on = machines.another(), machines.objects.put, threading.Event()

    def put(name: str, content: bytes | Path) -> str:
        if name.startswith("cells") and not goes_on.is_set():
            raise ObjectsError("the server does not answer", can_pass=True)
        return whole_put(name, content)

    monkeypatch.setattr(machines.objects, "put", put)
    put_best = machines.another()
    machines.objects.create(f"cells/{KEY}/best.pt", b"1")
    with storage.locked("first"):
        journal.begin(storage.cell(KEY))
        journal.append(storage.cell(KEY), Opened())
    goes_on.set()
    # As a delivery may do that nobody waits for any more.
    journal.append(storage.cell(KEY), Opened())
    journal.remove(storage.cell(KEY))
    storage.mirror.flush(10)
    for late in (storage.cell(KEY).shrink, storage.cell(KEY).remove_whole):
        with pytest.raises(ObjectsError, match="the sweep has ended") as caught:
            late()
        assert caught.value.remedy
    assert [found.name for found in machines.objects.list("cells")] == [f"cells/{KEY}/best.pt"]
    assert any("does not take" in line for line in said)
    (storage.root / "report").mkdir()
    (storage.root / "report" / "a").write_text("needs no lock")
    storage.keep(storage.root / "report")
    assert machines.objects.list("report")
    with storage.locked("second"):
        storage.cell(KEY).remove_whole()
    assert not put_best.cell(KEY).exists


def test_the_lock_is_given_back_once_nothing_is_under_way(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "FLUSH_S", 0.1)
    storage, whole_put, begun, goes_on = machines.another(), machines.objects.put, threading.Event(), threading.Event()
    holders: list[object] = []

    def put(name: str, content: bytes | Path) -> str:
        begun.set()
        goes_on.wait(10)
        holders.append(object_lock.holder_of(machines.objects))
        return whole_put(name, content)

    monkeypatch.setattr(machines.objects, "put", put)
    timer = threading.Timer(0.5, goes_on.set)
    with storage.locked("first"):
        journal.begin(storage.cell(KEY))
        journal.append(storage.cell(KEY), Opened())
        assert begun.wait(10)
        timer.start()
    timer.join()
    assert holders, "it was waited for"
    assert None not in holders, "the lock is held while it is put"
    assert machines.objects.read(NAME)


def test_who_has_lost_the_lock_is_told(machines: Machines) -> None:
    storage = machines.another()
    assert not storage.is_lost()
    with storage.locked("first"):
        assert not storage.is_lost()
        found = machines.objects.read(NAME)
        assert found is not None
        other = ObjectLock(machines.objects, {})
        assert machines.objects.replace(NAME, other._content(), version=found[1])
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(object_lock, "HOLDS_S", 0.0)
            with pytest.raises(ObjectsError, match="another sweep has taken it over"):
                storage.cell(KEY).remove_whole()
        assert storage.is_lost()
    assert not storage.is_lost()
