"""What happens to a copy that a training writes to is nothing that the training did: the objects stay."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from watched import FOLDER, Watched, copied, names

from orchestrator.objects import ObjectsError
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage import work
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.work import CopiedWork


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(FolderObjects(tmp_path / "objects"))


@pytest.fixture(autouse=True)
def _on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread looks when it is asked, so that each test says when."""
    monkeypatch.setattr(work, "LOOK_EVERY_S", 30.0)
    monkeypatch.setattr(work, "PAUSE_S", 0.01)


def test_a_copy_that_somebody_removes_takes_nothing_along(objects: Watched, tmp_path: Path) -> None:
    found = copied(objects, tmp_path / "copy")
    for name in ("00001-00000000.pt", "00002-00000000.pt", "audit/audit.json"):
        checkpoint.save(found.path / name, {})
    assert found.is_kept(10)
    there = names(objects)
    shutil.rmtree(found.path)
    assert found.is_kept(10)
    assert f"{found.path} is gone: somebody has removed the copy" in (found.problem or "")
    assert names(objects) == there
    found.close()


@pytest.mark.parametrize("left", [(), ("audit/audit.json",)])
def test_a_copy_that_is_emptied_takes_nothing_along(objects: Watched, tmp_path: Path, left: tuple[str, ...]) -> None:
    """As a cleaner of old files does. A checkpoint that is written after that takes the place of those before."""
    found = copied(objects, tmp_path / "copy")
    there = ["00001-00000000.pt", "00002-00000000.pt", "audit/audit.json"]
    for name in there:
        checkpoint.save(found.path / name, {})
    assert found.is_kept(10)
    for name in set(there) - set(left):
        (found.path / name).unlink()
    assert found.is_kept(10)
    assert found.problem is None
    assert names(objects) == there
    checkpoint.save(found.path / "00003-00000000.pt", {})
    assert found.is_kept(10)
    assert names(objects) == ["00003-00000000.pt", *left]
    found.close()


def test_a_copy_that_is_being_removed_while_it_is_looked_at_takes_nothing_along(
    objects: Watched, tmp_path: Path
) -> None:
    """Whoever removes it comes to an end while the thread asks whether it may delete."""
    asks: list[Callable[[], object]] = []
    found = copied(objects, tmp_path / "copy", guard=lambda: asks and asks.pop()())
    there = [f"0000{epoch}-00000000.pt" for epoch in (1, 2, 3)]
    for name in there:
        checkpoint.save(found.path / name, {})
    assert found.is_kept(10)
    asks.append(lambda: shutil.rmtree(found.path))
    (found.path / there[0]).unlink()
    assert found.is_kept(10)
    assert names(objects) == there
    found.close()


def test_a_copy_that_is_closed_while_it_is_looked_at_takes_nothing_along(
    objects: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look outlasts the patience of whoever closes it, and sees what is left of it then."""
    found = copied(objects, tmp_path / "copy")
    for name in ("00001-00000000.pt", "best.pt"):
        checkpoint.save(found.path / name, {})
    assert found.is_kept(10)
    whole_scan, looks, goes_on = work._scan, threading.Event(), threading.Event()

    def slow_scan(folder: Path) -> dict[str, tuple[int, ...]]:
        looks.set()
        goes_on.wait(10)
        return {name: seen for name, seen in whole_scan(folder).items() if name != "best.pt"}

    monkeypatch.setattr(work, "_scan", slow_scan)
    found.then(lambda: None)
    assert looks.wait(10)
    found.close()
    goes_on.set()
    found._thread.join(10)
    assert names(objects) == ["00001-00000000.pt", "best.pt"]


def test_the_right_to_write_is_asked_for_before_each_request(objects: Watched, tmp_path: Path) -> None:
    """A put may last for minutes, and another driver may be at work after it."""
    asked: list[int] = []

    def guard() -> None:
        asked.append(len(objects.seen))
        if len(asked) == 5:
            raise ObjectsError("another sweep has taken it over")

    found = copied(objects, tmp_path / "copy", guard=guard)
    for name in ("00001-00000000.pt", "00002-00000000.pt"):
        checkpoint.save(found.path / name, {})
    assert found.is_kept(10)
    (found.path / "00001-00000000.pt").unlink()
    for name in ("00003-00000000.pt", "00004-00000000.pt"):
        checkpoint.save(found.path / name, {})
    assert found.is_kept(10)
    assert "another sweep" in (found.problem or "")
    assert asked == [1, 2, 3, 4, 5], "before each put, and before anything is removed"
    assert names(objects) == [f"0000{epoch}-00000000.pt" for epoch in (1, 2, 3, 4)]
    found.close()


def test_who_waits_until_all_is_kept_does_not_wait_for_ever(objects: Watched, tmp_path: Path) -> None:
    """The training goes on through trouble for as long as it lasts; at its end there is nothing else to do."""

    def refuse(_: str) -> None:
        raise ObjectsError("storage = s3://b: it is full", can_pass=True)

    objects.before_put = refuse
    found = CopiedWork(objects, FOLDER, tmp_path / "copy", guard=lambda: None, patience_s=0.2)
    checkpoint.save(found.path / "00001-00000000.pt", {})
    found.then(lambda: None)
    time.sleep(0.5)
    assert found.problem is None
    began_at = time.monotonic()
    assert found.is_kept(10)
    assert "it is full" in (found.problem or "")
    assert time.monotonic() - began_at >= 0.2
    found.close()
