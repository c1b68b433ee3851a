"""The lock of a storage that is kept as objects: whatever two drivers do, and in whichever order, one holds it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import UserError
from orchestrator.objects import Address, BucketObjects, Found, Objects, ObjectsError
from orchestrator.storage import object_lock
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.object_lock import HOLDS_S, NAME, STALE_S, ObjectLock, holder_of

ABOUT = {"sweep": "first", "host": "here", "pid": "1", "since": "2026-11-30 12:00"}
HOLD = """
import sys
from pathlib import Path
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.object_lock import ObjectLock
about = {"sweep": "first", "host": "here", "pid": "17", "since": "now"}
with ObjectLock(FolderObjects(Path(sys.argv[1])), about).held():
    print("locked", flush=True)
    sys.stdin.read()
"""


class Troubled:
    """A place for objects where a request may fail, before or after it was done.

    Attributes:
        next: What becomes of the next ones: ``done``, ``refused`` or ``lost``.
    """

    shown = "s3://bucket/runs"

    def __init__(self, objects: Objects) -> None:
        self._objects, self.next = objects, "done"

    def _after(self) -> None:
        if self.next == "lost":
            raise ObjectsError("the answer was lost")

    def _before(self) -> None:
        if self.next == "refused":
            raise ObjectsError("not taken")

    def read(self, name: str) -> tuple[bytes, str] | None:
        self._before()
        return self._objects.read(name)

    def create(self, name: str, content: bytes) -> str | None:
        self._before()
        tag = self._objects.create(name, content)
        self._after()
        return tag

    def replace(self, name: str, content: bytes, *, version: str) -> str | None:
        self._before()
        new = self._objects.replace(name, content, version=version)
        self._after()
        return new

    def list(self, below: str = "") -> list[Found]:
        raise NotImplementedError

    def fetch(self, name: str, path: Path, *, unless: str | None = None) -> str | None:
        raise NotImplementedError

    def put(self, name: str, content: bytes | Path) -> str:
        raise NotImplementedError

    def delete(self, names: Collection[str]) -> None:
        raise NotImplementedError


def in_memory() -> Objects:
    """Return a place for objects that compares tags as a bucket does, and is nowhere."""
    pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
    from obstore.store import MemoryStore

    return BucketObjects(Address.of("s3://memory/runs"), named="storage", store=MemoryStore())


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver sees the process of another: each is on a machine of its own."""
    monkeypatch.setattr(object_lock, "is_alive_here", lambda _: None)


DRIVER = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), DRIVER),
        st.tuples(st.just("beat"), DRIVER),
        st.tuples(st.just("write"), DRIVER),
        st.tuples(st.just("release"), DRIVER),
        st.tuples(st.just("time"), st.sampled_from([1.0, HOLDS_S - 0.5, HOLDS_S, STALE_S / 2, STALE_S, 2 * STALE_S])),
        st.tuples(st.just("next"), st.sampled_from(["done", "done", "refused", "lost"])),
    ),
    max_size=40,
)


@pytest.mark.usefixtures("elsewhere")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_drivers_do_none_writes_but_the_one_that_holds_the_lock(steps: list[tuple[str, object]]) -> None:
    now = 1000.0
    place = in_memory()
    objects = Troubled(place)
    drivers = [ObjectLock(objects, ABOUT, clock=lambda: now) for _ in range(3)]
    has = [False] * 3
    for what, argument in steps:
        if what == "time":
            assert isinstance(argument, float)
            now += argument
            continue
        if what == "next":
            objects.next = str(argument)
            continue
        assert isinstance(argument, int)
        driver = drivers[argument]
        try:
            if what == "look" and not has[argument]:
                has[argument] = driver.try_to_take()
            elif what == "beat":
                driver.beat()
            elif what == "release":
                driver.release()
                has[argument] = False
            elif what == "write":
                driver.confirm()
                holder = holder_of(place)
                assert holder is not None
                assert holder.token == driver.token, "who writes holds the lock"
        except UserError:
            pass
    # Whoever still has a tag and is confirmed now is the only one.
    objects.next = "done"
    confirmed = 0
    for driver in drivers:
        with suppress(ObjectsError):
            driver.confirm()
            confirmed += 1
    assert confirmed <= 1


@pytest.mark.usefixtures("elsewhere")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pauses=st.lists(st.floats(0.5, HOLDS_S), min_size=1, max_size=12), losses=st.sets(st.sampled_from(range(0, 12, 2)))
)
def test_who_beats_is_never_replaced_even_where_answers_are_lost(pauses: list[float], losses: set[int]) -> None:
    now = 1000.0
    objects = Troubled(in_memory())
    first, second = (ObjectLock(objects, ABOUT, clock=lambda: now) for _ in range(2))
    assert first.try_to_take()
    for number, pause in enumerate(pauses):
        now += pause
        objects.next = "lost" if number in losses else "done"
        with suppress(ObjectsError):
            first.beat()
        objects.next = "done"
        with suppress(UserError):
            assert not second.try_to_take()
    first.confirm()


@pytest.mark.usefixtures("elsewhere")
def test_a_dead_holder_is_replaced_and_writes_nothing_after_that(tmp_path: Path) -> None:
    now = 0.0
    objects = FolderObjects(tmp_path)
    dead, next_ = (ObjectLock(objects, ABOUT, clock=lambda: now) for _ in range(2))
    assert dead.try_to_take()
    assert not next_.try_to_take(), "nobody knows yet"
    now = STALE_S - 1
    assert not next_.try_to_take()
    now = STALE_S
    assert next_.try_to_take()
    next_.confirm()
    with pytest.raises(ObjectsError, match="another sweep has taken it over") as refused:
        dead.confirm()
    assert refused.value.remedy
    dead.beat()
    with pytest.raises(ObjectsError):
        dead.confirm()
    dead.release()
    next_.confirm()


def test_a_holder_of_this_machine_is_refused_at_once_and_replaced_at_once_when_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        lock, began_at = ObjectLock(FolderObjects(tmp_path), ABOUT), time.monotonic()
        with pytest.raises(UserError) as refused:
            lock.take()
        assert "in use by the sweep first, process 17 on here, since now" in str(refused.value)
        assert time.monotonic() - began_at < 5
        holder.kill()
    lock.take()
    lock.confirm()


def test_a_lock_that_was_given_back_is_free_and_a_strange_one_too(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    with ObjectLock(objects, ABOUT).held():
        holder = holder_of(objects)
        assert holder is not None
        assert holder.seems_alive
        assert str(os.getpid()) in holder.process
    assert holder_of(objects) is None
    with ObjectLock(objects, ABOUT).held():
        pass
    objects.put(NAME, b"no JSON")
    with ObjectLock(objects, ABOUT).held():
        pass


def test_of_many_that_come_at_once_one_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lock, "LOOK_EVERY_S", 0.01)
    objects, taken, refused = FolderObjects(tmp_path), [], []

    def take() -> None:
        lock = ObjectLock(objects, ABOUT | {"host": socket.gethostname()})
        try:
            lock.take()
            taken.append(lock)
        except UserError:
            refused.append(lock)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert len(refused) == 7


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("place", ["folder", "memory", "s3"])
def test_of_many_that_watch_a_dead_holder_one_takes_its_place(
    request: pytest.FixtureRequest, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No one sees another's process: the conditional put alone decides."""
    monkeypatch.setattr(object_lock, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(object_lock, "STALE_S", 0.5)
    objects: Objects = FolderObjects(tmp_path)
    if place != "folder":
        bucket = request.getfixturevalue("bucket") if place == "s3" else None
        objects = in_memory() if bucket is None else BucketObjects(bucket, named="storage")
    assert ObjectLock(objects, ABOUT).try_to_take()
    locks, taken, refused = [ObjectLock(objects, ABOUT) for _ in range(8)], [], []
    for lock in locks:
        assert not lock.try_to_take()

    def take(lock: ObjectLock) -> None:
        try:
            lock.take()
            taken.append(lock)
        except UserError:
            refused.append(lock)

    threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert len(refused) == 7
    holder = holder_of(objects)
    assert holder is not None
    assert holder.token == taken[0].token


def test_a_beat_keeps_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT_EVERY_S", 0.05), ("STALE_S", 0.5), ("LOOK_EVERY_S", 0.02)):
        monkeypatch.setattr(object_lock, name, seconds)
    monkeypatch.setattr(object_lock, "is_alive_here", lambda _: None)
    objects = FolderObjects(tmp_path)
    with ObjectLock(objects, ABOUT).held():
        for _ in range(3):
            with pytest.raises(UserError):
                ObjectLock(objects, ABOUT).take()
