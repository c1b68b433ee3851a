"""Copies of objects: they take no more room, cost no more requests, and live no shorter or longer than they must."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bucket_machines import ADDRESS, Machines

from orchestrator.objects import Found
from orchestrator.plan import reached_epochs
from orchestrator.process_names import this_process
from orchestrator.storage import BEST, PREDICTIONS, RESULT, CellFolder, Storage, copies, object_storage
from orchestrator.storage.copies import new_copy
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.object_storage import ObjectStorage

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


def put(machines: Machines, key: str, *names: str) -> None:
    for name in names:
        machines.objects.put(f"cells/{key}/{name}", name.encode())


def files(storage: Storage) -> list[str]:
    return sorted(path.relative_to(storage.root).as_posix() for path in storage.root.rglob("*") if path.is_file())


def test_whether_something_is_there_is_answered_without_fetching_it(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(machines, KEY, BEST, PREDICTIONS, "test/a.csv")
    put(machines, OTHER, BEST, RESULT, "00001-00000000.pt")
    monkeypatch.setattr(machines.objects, "fetch", lambda *_, **__: pytest.fail("it is large"))
    cell, other = machines.another().cell(KEY), machines.another().cell(OTHER)
    assert [cell.has(name) for name in (BEST, PREDICTIONS, "test", RESULT)] == [True, True, True, False]
    assert cell.is_delivered
    assert not other.is_delivered
    assert other.undelivered == [other.path / RESULT]


def test_a_delivered_cell_takes_no_room_in_the_copy(machines: Machines) -> None:
    put(machines, KEY, BEST, PREDICTIONS, RESULT, "test/a.csv")
    put(machines, OTHER, BEST)
    storage = machines.another()
    for cell in map(storage.cell, (KEY, OTHER)):
        assert cell.best.exists()
    assert storage.cell(KEY).predictions.exists()
    assert storage.cell(KEY).test.is_dir()
    storage.cell(KEY).shrink()
    assert files(storage) == [f"cells/{OTHER}/best.pt"]
    assert [found.name for found in machines.objects.list(f"cells/{KEY}")] == [
        f"cells/{KEY}/best.pt",
        f"cells/{KEY}/predictions.npz",
    ]
    assert storage.cell(KEY).best.read_bytes() == BEST.encode(), "it is fetched again"


def test_what_is_not_put_yet_stays_in_the_copy(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, goes_on, whole_put = machines.another(), threading.Event(), machines.objects.put

    def wait(name: str, content: bytes | Path) -> str:
        goes_on.wait(10)
        return whole_put(name, content)

    monkeypatch.setattr(machines.objects, "put", wait)
    cell = storage.cell(KEY)
    cell.path.mkdir(parents=True)
    (cell.path / "delivery.jsonl").write_text("of the next training\n")
    cell.keep_soon(cell.path / "delivery.jsonl")
    cell.forget()
    assert cell.has("delivery.jsonl")
    goes_on.set()
    assert storage.mirror.flush(10) == []
    assert (machines.objects.read(f"cells/{KEY}/delivery.jsonl") or b"")[0] == b"of the next training\n"


def test_in_a_folder_nothing_is_forgotten(tmp_path: Path) -> None:
    cell = CellFolder(tmp_path / KEY)
    cell.path.mkdir()
    cell.best.write_bytes(b"1")
    cell.forget()
    assert cell.has(BEST)
    assert not cell.has(RESULT)
    assert cell.is_delivered


def test_a_cell_is_removed_without_a_look_at_the_others(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    put(machines, KEY, BEST)
    put(machines, OTHER, BEST)
    whole_list, listed = machines.objects.list, []

    def note(below: str = "") -> list[Found]:
        listed.append(below)
        return whole_list(below)

    monkeypatch.setattr(machines.objects, "list", note)
    machines.another().cell(KEY).remove_whole()
    assert listed == [f"cells/{KEY}"]
    assert [found.name for found in whole_list()] == [f"cells/{OTHER}/best.pt"]


def test_how_far_all_cells_are_is_one_look(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    put(machines, KEY, "00001-00000000.pt", "00003-00000000.pt")
    whole_list, listed = machines.objects.list, []

    def note(below: str = "") -> list[Found]:
        listed.append(below)
        return whole_list(below)

    monkeypatch.setattr(machines.objects, "list", note)
    cells: list[Any] = [SimpleNamespace(key=key) for key in (KEY, OTHER)]
    assert reached_epochs(cells, machines.another()) == {KEY: 3}
    assert listed == ["cells"]


def sent(machines: Machines, folder: Path, number: int) -> ObjectStorage:
    """Return the storage as a process that trains on a machine has it."""
    mirror = Mirror(machines.objects, folder / f"process {number}")
    return ObjectStorage(mirror.root, "storage", address=ADDRESS, copies_in=folder, mirror=mirror, is_sent=True)


def test_weights_that_trainings_begin_with_are_fetched_once_for_a_machine(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.objects.put("weights/resnet.safetensors", b"weights")
    fetched, whole_fetch = [], machines.objects.fetch

    def fetch(name: str, path: Path, *, unless: str | None = None) -> str | None:
        fetched.append(name)
        time.sleep(0.2)
        return whole_fetch(name, path, unless=unless)

    monkeypatch.setattr(machines.objects, "fetch", fetch)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(sent(machines, tmp_path, n).weights("resnet.safetensors")))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert found[0].read_bytes() == b"weights"
    assert fetched == ["weights/resnet.safetensors"]
    assert not sent(machines, tmp_path, 5).weights("another").exists()
    # Who starts a sweep asks whether this bucket has them: another one may have had them here.
    machines.objects.delete(["weights/resnet.safetensors"])
    assert not machines.another().weights("resnet.safetensors").exists()


def test_who_trains_waits_longer_than_who_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[float] = []
    monkeypatch.setattr(object_storage, "BucketObjects", lambda *_, patience_s, **__: patience.append(patience_s))
    for token in ("", "of a lock"):
        object_storage._copied(ADDRESS, tmp_path, "storage", token)
    assert patience == [object_storage.object_lock.PATIENCE_S, object_storage.WORK_PATIENCE_S]


def copy_of(copies_in: Path, process: str) -> Path:
    path = copies_in / "storage" / f"{process.replace(':', '-')}-{'0' * 8}"
    (path / "cells").mkdir(parents=True)
    return path


def test_nobody_removes_the_copy_of_a_process_that_may_live(tmp_path: Path) -> None:
    """E.g. of another container, whose processes are counted for themselves, or of a host with a longer name."""
    host, _, pid, start = this_process().split(":")
    kept = [
        copy_of(tmp_path, this_process()),
        copy_of(tmp_path, f"{host}:00000000:4000000:{start}"),
        copy_of(tmp_path, f"{host}-2:00000000:{pid}:{start}"),
        copy_of(tmp_path, f"{host}:no-name-of:ours:x"),
    ]
    new_copy(tmp_path)
    assert sorted((tmp_path / "storage").iterdir()) == sorted(kept)


def test_the_copy_of_a_container_that_is_long_gone_goes(tmp_path: Path) -> None:
    path = copy_of(tmp_path, f"{socket.gethostname()}:00000000:1:{0:08x}")
    for each in (path / "cells", path):
        os.utime(each, (long_ago := time.time() - copies.QUIET_S - 60, long_ago))
    new_copy(tmp_path)
    assert not path.exists()


def test_the_copy_of_a_killed_process_goes_with_the_next(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from orchestrator.objects import Address\n"
        "from orchestrator.storage import storage_at\n"
        "s = storage_at(Address.of('s3://b'), copies_in=Path(sys.argv[1])); s.root.mkdir(parents=True)\n"
        "print(s.root, flush=True); os.kill(os.getpid(), 9) if sys.argv[2] == 'kill' else None"
    )

    def run(how: str) -> Path:
        command = [sys.executable, "-c", script, str(tmp_path), how]
        return Path(subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip())

    killed = run("kill")
    assert killed.is_dir()
    ended = run("end")
    assert not ended.exists(), "it goes with its process"
    assert not killed.exists()
    assert os.listdir(tmp_path / "storage") == []
