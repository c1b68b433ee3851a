"""A storage that is kept as objects: each process has a copy, and what one keeps the others find."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path

import pytest
from bucket_machines import Machines

from orchestrator.errors import UserError
from orchestrator.objects import Address, Objects, ObjectsError
from orchestrator.records import EpochResult, Opened
from orchestrator.storage import (
    Confirmation,
    Point,
    Storage,
    journal,
    note_look,
    object_lock,
    read_looks,
    storage_at,
    uploads,
)
from orchestrator.storage.object_storage import ObjectStorage

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
EPOCH = EpochResult(epoch=1, metrics={"val/error": 0.5}, timestamp_ms=1)


def put(objects: Objects, key: str, *names: str) -> None:
    for name in names:
        objects.put(f"cells/{key}/{name}", name.encode())


def test_a_place_is_a_folder_or_objects_and_asking_costs_nothing(tmp_path: Path) -> None:
    assert storage_at(tmp_path, copies_in=tmp_path) == Storage(tmp_path)
    found = storage_at(Address.of("s3://nobody/has/it"), copies_in=tmp_path / "caches")
    assert isinstance(found, ObjectStorage)
    assert found.shown() == "s3://nobody/has/it"
    assert found.shown(found.root / "confirm" / "x.json") == "s3://nobody/has/it/confirm/x.json"
    assert not (tmp_path / "caches").exists()


def test_another_process_has_another_copy_of_the_same_with_the_same_token(tmp_path: Path) -> None:
    sent = storage_at(Address.of("s3://b/x?endpoint_override=h:1&scheme=http"), copies_in=tmp_path)
    assert isinstance(sent, ObjectStorage)
    (tmp_path / "sent").write_bytes(pickle.dumps(sent))
    script = (
        "import pickle, sys; s = pickle.load(open(sys.argv[1], 'rb')); print(s.root, s.address.endpoint, s.shown())"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "sent")]
    root, *rest = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert rest == ["http://h:1", "s3://b/x"]
    assert Path(root).parent == sent.root.parent
    assert root != str(sent.root)


def test_what_one_keeps_the_others_find(machines: Machines) -> None:
    one, other = machines.another(), machines.another()
    assert other.stores() == []
    one.note_store("http://mlflow:5000")
    one.note_store("http://mlflow:5000")
    assert other.stores() == ["http://mlflow:5000"]
    path = one.confirmation("sweep")
    Confirmation(sweep="sweep").save(path)
    one.keep(path)
    assert Confirmation.load(other.confirmation("sweep")) == Confirmation(sweep="sweep")
    assert [file.name for file in other.confirmations()] == ["sweep.json"]
    assert not other.confirmation("another").exists()
    note_look(other, {"a": {"0"}})
    assert read_looks(one.looks) == [{"a": {"0"}}]


def test_what_was_changed_elsewhere_is_fetched_again_and_what_is_gone_is_gone(machines: Machines) -> None:
    storage = machines.another()
    put(machines.objects, KEY, "best.pt")
    cell = storage.cell(KEY)
    assert cell.best.read_bytes() == b"best.pt"
    machines.objects.put(f"cells/{KEY}/best.pt", b"other weights")
    assert cell.best.read_bytes() == b"other weights"
    machines.objects.delete([f"cells/{KEY}/best.pt"])
    assert not cell.best.exists()


def test_a_folder_is_fetched_with_all_in_it(machines: Machines) -> None:
    put(machines.objects, KEY, "test/a.csv", "test/group/b.csv", "audit/c.json")
    cell = machines.another().cell(KEY)
    assert sorted(path.relative_to(cell.path).as_posix() for path in cell.test.rglob("*.csv")) == [
        "test/a.csv",
        "test/group/b.csv",
    ]
    assert not (cell.path / "audit").exists(), "nobody asked for it"
    assert not machines.another().cell(OTHER).test.is_dir()


def test_a_finished_cell_keeps_what_it_keeps_in_a_folder(machines: Machines) -> None:
    kept = ("best.pt", "predictions.npz", "last.pt")
    needless = ("00003-00000000.pt", "result.pt", "delivery.jsonl", "audit/a.json", "test/group/b.csv")
    put(machines.objects, KEY, *kept, *needless, "of a stranger")
    put(machines.objects, OTHER, "predictions.npz", "result.pt")
    storage = machines.another()
    cell = storage.cell(KEY)
    assert cell.points() == [Point(3)]
    assert {path.name for path in cell.needless()} == {name.split("/")[0] for name in needless}
    assert [path.name for path in cell.foreign()] == ["of a stranger"]
    assert cell.size_of(cell.path / "test") == len("test/group/b.csv")
    assert [path.name for path in cell.undelivered] == ["result.pt", "delivery.jsonl"]
    assert storage.cell_keys() == [KEY, OTHER]
    cell.shrink()
    assert [found.name for found in machines.objects.list(f"cells/{KEY}")] == [
        f"cells/{KEY}/{name}" for name in sorted((*kept, "of a stranger"))
    ]
    storage.cell(OTHER).shrink()
    assert not storage.cell(OTHER).exists, "it was finished elsewhere"
    assert cell.exists
    cell.remove_whole()
    assert machines.objects.list("cells") == []


def test_one_look_answers_for_all_cells(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    put(machines.objects, KEY, "best.pt", "00001-00000000.pt")
    storage = machines.another()
    with storage.glance():
        asked: list[str] = []
        whole_list, whole_fetch = machines.objects.list, machines.objects.fetch

        def fetch(name: str, path: Path, *, unless: str | None = None) -> str | None:
            asked.append(name)
            return whole_fetch(name, path, unless=unless)

        monkeypatch.setattr(machines.objects, "fetch", fetch)
        monkeypatch.setattr(machines.objects, "list", lambda *_: pytest.fail("it was listed before"))
        assert storage.cell_keys() == [KEY]
        for _ in range(3):
            assert storage.cell(KEY).best.exists()
            assert storage.cell(KEY).points() == [Point(1)]
            assert not storage.cell(KEY).result.exists()
            assert not storage.cell(KEY).test.is_dir()
            assert not storage.cell(OTHER).exists
            assert not storage.cell(OTHER).journal.exists()
        assert asked == [f"cells/{KEY}/best.pt"]
        with storage.glance():
            assert not storage.cell(OTHER).exists
    monkeypatch.setattr(machines.objects, "list", whole_list)
    put(machines.objects, OTHER, "result.pt")
    assert storage.cell(OTHER).exists, "it is asked anew"


def test_a_journal_is_kept_beside_the_sweep_and_read_by_the_next(machines: Machines) -> None:
    with machines.another().locked("sweep"):
        driver = machines.another()
        cell = driver.cell(KEY)
        journal.begin(cell)
        for event in (Opened(), EPOCH):
            journal.append(cell, event)
        assert journal.read(cell) == [Opened(), EPOCH], "what is here is newer"
        assert driver.mirror.flush(10) == []
    assert journal.read(machines.another().cell(KEY)) == [Opened(), EPOCH]
    journal.append(machines.another().cell(OTHER), EPOCH)
    assert not machines.another().cell(OTHER).exists, "it was never begun"
    journal.remove(cell)
    assert journal.read(cell) == []
    assert not cell.has("delivery.jsonl"), "whatever is there still"
    assert driver.mirror.flush(10) == []
    assert not machines.another().cell(KEY).exists


def test_a_journal_that_is_begun_anew_while_the_one_before_is_removed_stays(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a finished cell whose journal is still to be removed takes no room in the copy."""
    storage, goes_on, delete = machines.another(), threading.Event(), machines.objects.delete

    def slowly(names: Collection[str]) -> None:
        assert goes_on.wait(10)
        delete(names)

    monkeypatch.setattr(machines.objects, "delete", slowly)
    for key in (KEY, OTHER):
        journal.begin(storage.cell(key))
        journal.append(storage.cell(key), Opened())
    assert storage.mirror.flush(10) == []
    for key in (KEY, OTHER):
        journal.remove(storage.cell(key))
    journal.begin(storage.cell(KEY))
    journal.append(storage.cell(KEY), EPOCH)
    (storage.cell(OTHER).path / "best.pt").write_text("of a finished cell")
    storage.cell(OTHER).forget()
    assert not storage.cell(OTHER).path.exists()
    goes_on.set()
    assert storage.mirror.flush(10) == []
    assert journal.read(machines.another().cell(KEY)) == [EPOCH]
    assert not machines.another().cell(OTHER).exists


def test_a_journal_that_is_not_taken_waits_and_says_so_once(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(uploads, "PAUSE_S", 0.01)
    storage, whole_put, tries = machines.another(), machines.objects.put, []

    def put(name: str, content: bytes | Path) -> str:
        tries.append(name)
        if len(tries) < 4:
            raise ObjectsError("the server does not answer", can_pass=True)
        return whole_put(name, content)

    monkeypatch.setattr(machines.objects, "put", put)
    journal.begin(storage.cell(KEY))
    journal.append(storage.cell(KEY), Opened())
    assert storage.mirror.flush(10) == []
    assert sum("does not answer" in line for line in said) == 1
    assert any("are taken again" in line for line in said)
    assert journal.read(machines.another().cell(KEY)) == [Opened()]


def test_a_driver_that_was_replaced_gives_its_journals_up_and_says_so_once(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    storage = machines.another()

    def refuse(_: str) -> None:
        raise object_lock.lost(machines.objects)

    monkeypatch.setattr(storage.mirror, "guard", refuse)
    for _ in range(3):
        journal.begin(storage.cell(KEY))
        assert storage.mirror.flush(10) == []
    assert machines.objects.list("cells") == []
    assert sum("another sweep has taken it over" in line for line in said) == 1


def test_a_second_driver_is_refused_and_one_that_was_replaced_writes_nothing(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = machines.another(), machines.another()
    with first.locked("first"):
        assert second.is_locked()
        assert "the sweep first" in (second.in_use_by() or "")
        assert "the sweep first" in second.noted_holder()
        with pytest.raises(UserError, match="in use by the sweep first"), second.locked("second"):
            pass
        # As if it had been silent, on another machine: the next one watched it for a minute.
        found = machines.objects.read(object_lock.NAME)
        assert found is not None
        other = object_lock.ObjectLock(machines.objects, {})
        assert machines.objects.replace(object_lock.NAME, other._content(), version=found[1])
        monkeypatch.setattr(object_lock, "HOLDS_S", 0.0)
        with pytest.raises(ObjectsError, match="another sweep has taken it over"):
            first.note_store("http://late")
        with pytest.raises(ObjectsError, match="another sweep has taken it over"):
            first.cell(KEY).shrink()
        assert second.stores() == []
        assert machines.objects.read(object_lock.NAME) is not None


def test_the_lock_is_free_after_a_sweep(machines: Machines) -> None:
    with machines.another().locked("first"):
        pass
    assert not machines.another().is_locked()
    assert machines.another().noted_holder() == ""
    with machines.another().locked("second"):
        pass


def test_a_report_takes_the_place_of_the_one_before(machines: Machines) -> None:
    storage = machines.another()
    folder = storage.reports_dir / "sweep"
    (folder / "data").mkdir(parents=True)
    (folder / "report.html").write_text("new")
    (folder / "data" / "a.csv").write_text("new")
    (folder / ".half.host.1.tmp").write_text("unfinished")
    machines.objects.put("report/sweep/old.svg", b"old")
    storage.keep(folder)
    assert [found.name for found in machines.objects.list("report")] == [
        "report/sweep/data/a.csv",
        "report/sweep/report.html",
    ]


def test_it_is_said_that_nothing_can_be_copied(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("orchestrator.storage.object_storage.try_writing", refuse)
    with pytest.raises(UserError) as caught:
        machines.another().check_writable()
    assert "cache.dir" in str(caught.value)


def test_a_probe_is_not_left(machines: Machines) -> None:
    machines.another().prepare()
    assert machines.objects.list() == []
