"""What a training writes to a copy is kept as objects: whole, in an order that leaves one that can go on, and said."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from bucket_machines import Machines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watched import FOLDER, KEY, Watched, copied, names

from orchestrator.objects import Found, ObjectsError
from orchestrator.storage import CellFolder, DirectWork, Point, Storage, work
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.object_lock import ObjectLock
from orchestrator.storage.work import CopiedWork


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(FolderObjects(tmp_path / "objects"))


@pytest.fixture(autouse=True)
def _on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread looks when it is asked, so that each test says when."""
    monkeypatch.setattr(work, "LOOK_EVERY_S", 30.0)
    monkeypatch.setattr(work, "PAUSE_S", 0.01)


def test_a_training_that_goes_on_elsewhere_finds_its_checkpoints(objects: Watched, tmp_path: Path) -> None:
    first = copied(objects, tmp_path / "one")
    saved = Checkpoints(CellFolder(first.path))
    for epoch in (1, 2, 3):
        saved.save(Point(epoch), {"epoch": epoch}, best_epoch=1)
    (first.path / "audit").mkdir()
    (first.path / "audit" / "audit.json").write_text("{}")
    (first.path / ".00009-00000000.pt.host.1.tmp").write_bytes(b"half")
    assert first.is_kept(10)
    assert names(objects) == ["00001-00000000.pt", "00002-00000000.pt", "00003-00000000.pt", "audit/audit.json"]
    first.close()
    assert not first.path.exists()

    second = copied(objects, tmp_path / "another machine")
    saved = Checkpoints(CellFolder(second.path))
    assert next(saved.newest_first()) == (Point(3), {"epoch": 3})
    saved.save(Point(4), {"epoch": 4}, best_epoch=4)
    assert second.is_kept(10)
    assert names(objects) == ["00003-00000000.pt", "00004-00000000.pt", "audit/audit.json"]
    saved.finish({"model": {}}, {"result": 1})
    assert second.is_kept(10)
    assert names(objects) == ["audit/audit.json", "best.pt", "result.pt"]
    second.close()


def test_what_lay_at_the_place_of_the_copy_is_not_taken_for_it(objects: Watched, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "copy" / "00009-00000000.pt", {})
    found = copied(objects, tmp_path / "copy")
    assert not CellFolder(found.path).points()
    assert found.is_kept(10)
    assert names(objects) == []
    found.close()


def test_a_bucket_that_takes_long_to_be_listed_is_no_silence(
    objects: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that begins while it does not answer is watched by somebody."""
    signs, signed = list[str](), threading.Event()

    def slowly(_: str) -> list[Found]:
        assert signed.wait(10)
        raise ObjectsError("the server does not answer", can_pass=True)

    def sign() -> None:
        signs.append(threading.current_thread().name)
        signed.set()

    monkeypatch.setattr(objects, "list", slowly)
    with pytest.raises(ObjectsError, match="does not answer"):
        CopiedWork(objects, FOLDER, tmp_path / "copy", guard=lambda: None, on_sign_of_life=sign)
    assert set(signs) == {threading.current_thread().name}


def test_what_is_to_follow_waits_for_what_was_written_before(objects: Watched, tmp_path: Path) -> None:
    """An epoch is told once its checkpoint is kept, in order, and meanwhile nobody waits."""
    goes_on, told = threading.Event(), []
    objects.before_put = lambda _: goes_on.wait(10) and None
    found = copied(objects, tmp_path / "copy")
    saved = Checkpoints(CellFolder(found.path))
    for epoch in (1, 2):
        saved.save(Point(epoch), {}, best_epoch=1)
        found.then(lambda epoch=epoch: told.append((epoch, names(objects))))  # type: ignore[misc]
    assert not found.is_kept(0.05)
    assert told == []
    goes_on.set()
    assert found.is_kept(10)
    assert [epoch for epoch, _ in told] == [1, 2]
    assert all(f"0000{epoch}-00000000.pt" in there for epoch, there in told)
    found.close()


def test_the_thread_notices_by_itself_what_is_written(
    objects: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOOK_EVERY_S", 0.02)
    found = copied(objects, tmp_path / "copy")
    checkpoint.save(found.path / "00001-00000003.pt", {})
    deadline = time.monotonic() + 10
    while names(objects) != ["00001-00000003.pt"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    saves=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=10),
    finishes=st.booleans(),
)
def test_whenever_a_machine_is_lost_there_is_a_training_that_can_go_on(
    saves: list[tuple[bool, bool, bool]], finishes: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After each put and each removal: a point with its best epoch's, or a result with its weights.

    Each save: whether the epoch is the best so far, whether one in the middle of the next follows, and whether the
    thread gets to look before the next save.
    """
    folder = tmp_path_factory.mktemp("lost")
    objects = Watched(FolderObjects(folder / "objects"))
    found = copied(objects, folder / "copy")
    saved, best, best_of = Checkpoints(CellFolder(found.path)), 1, {}
    for epoch, (is_best, goes_further, looks) in enumerate(saves, start=1):
        best = epoch if is_best else best
        for step in (0, 5)[: 1 + goes_further]:
            best_of[Point(epoch, step).file_name] = Point(best).file_name
            saved.save(Point(epoch, step), {}, best_epoch=best)
        if looks:
            assert found.is_kept(10)
    if finishes:
        saved.finish({"model": {}}, {"result": 1})
    assert found.is_kept(10)
    found.close()
    began = False
    for there in objects.seen:
        goes_on = any(name in there and best_of[name] in there for name in best_of) or {"best.pt", "result.pt"} <= there
        began = began or goes_on
        assert goes_on == began, there
    assert not finishes or objects.seen[-1] == {"best.pt", "result.pt"}


def test_what_cannot_be_put_for_a_while_is_put_later_and_said_once(
    objects: Watched, tmp_path: Path, said: list[str]
) -> None:
    tries: list[str] = []

    def refuse(name: str) -> None:
        tries.append(name)
        if len(tries) < 4:
            raise ObjectsError("storage = s3://b: the server does not answer", can_pass=True)

    objects.before_put = refuse
    found = copied(objects, tmp_path / "copy")
    checkpoint.save(found.path / "00001-00000000.pt", {})
    assert found.is_kept(10)
    assert found.problem is None
    assert sum("the training goes on: storage = s3://b: the server does not answer" in line for line in said) == 1
    assert any("takes checkpoints again" in line for line in said)
    found.close()


def test_what_cannot_pass_ends_it_with_its_reason(objects: Watched, tmp_path: Path) -> None:
    def refuse(_: str) -> None:
        raise ObjectsError("storage = s3://b: no permission", remedy="let them write")

    objects.before_put = refuse
    found, told = copied(objects, tmp_path / "copy"), []
    checkpoint.save(found.path / "00001-00000000.pt", {})
    found.then(lambda: told.append(1))
    assert found.is_kept(10), "nobody waits for ever"
    assert found.problem is not None
    assert "no permission" in found.problem
    assert "let them write" in found.problem
    assert told == []
    found.close()


def test_what_goes_wrong_where_something_is_told_is_raised_for_who_asks_next(objects: Watched, tmp_path: Path) -> None:
    """As it is in a folder, where it is told at once: whoever trains is to blame for neither."""
    found = copied(objects, tmp_path / "copy")
    found.then(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        found.is_kept(10)
    with pytest.raises(ZeroDivisionError):
        found.then(lambda: None)
    found.close()


def test_what_cannot_be_fetched_is_an_error(objects: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.put(f"{FOLDER}/00001-00000000.pt", b"")

    def fail(*_: object, **__: object) -> None:
        raise ObjectsError("the server does not answer", can_pass=True)

    monkeypatch.setattr(objects, "fetch", fail)
    with pytest.raises(ObjectsError):
        copied(objects, tmp_path / "copy")


def test_workers_of_a_driver_that_was_replaced_write_nothing(machines: Machines) -> None:
    lock = ObjectLock(machines.objects, {})
    lock.take()
    ours = machines.another(token=lock.token).work_on(KEY)
    checkpoint.save(ours.path / "00001-00000000.pt", {})
    assert ours.is_kept(10)
    assert ours.problem is None
    lock.release()
    ObjectLock(machines.objects, {}).take()
    checkpoint.save(ours.path / "00002-00000000.pt", {})
    assert ours.is_kept(10)
    assert "another sweep has taken it over" in (ours.problem or "")
    assert names(machines.objects) == ["00001-00000000.pt"]
    ours.close()


def test_in_a_folder_nothing_is_copied_and_nobody_waits(tmp_path: Path) -> None:
    found, told = Storage(tmp_path).work_on(KEY), []
    assert isinstance(found, DirectWork)
    assert found.path == tmp_path / "cells" / KEY
    found.then(lambda: told.append(1))
    assert told == [1]
    assert found.is_kept(0)
    assert found.problem is None
    found.close()
