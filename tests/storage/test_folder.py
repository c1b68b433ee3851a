"""The folder of results and its lock, with real processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from orchestrator.errors import UserError
from orchestrator.storage.folder import Storage

HOLD = """
import sys
from pathlib import Path
from orchestrator.storage.folder import Storage
with Storage(Path(sys.argv[1])).locked("first"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_prepare_makes_the_folder_and_leaves_no_probe(tmp_path: Path) -> None:
    Storage(tmp_path / "a" / "b").prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_prepare_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="remedy"):
        Storage(tmp_path / "file").prepare()


def test_another_process_is_refused_and_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    assert not storage.is_locked()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert storage.is_locked()
        with pytest.raises(UserError) as refused, storage.locked("second"):
            pass
        assert "first" in str(refused.value)
        assert str(holder.pid) in str(refused.value)
        holder.kill()
    assert not storage.is_locked()
    with storage.locked("second"):
        assert storage.is_locked()
    assert not storage.is_locked()


def test_shrink_keeps_the_best_weights_and_predictions(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    folder = storage.cell("key").path
    folder.mkdir(parents=True)
    for name in ("00003-00000000.pt", "result.pt", "delivery.jsonl", "best.pt", "predictions.npz"):
        (folder / name).touch()
    (folder / "audit").mkdir()
    (folder / "audit" / "audit.json").touch()
    storage.cell("key").shrink()
    storage.cell("another").shrink()
    assert sorted(path.name for path in folder.iterdir()) == ["best.pt", "predictions.npz"]


def test_scratch_of_killed_sweeps_goes_and_nothing_else(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    (tmp_path / "ray-notes").mkdir()
    left = storage.new_scratch()
    (left / "file").touch()
    new = storage.new_scratch()
    assert storage.scratch_folders() == [new]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["ray-notes", new.name])


def test_the_list_of_stores_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(tmp_path)
    storage.note_store("http://first")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        storage.note_store("http://second")
    assert storage.stores() == ["http://first"]
    assert [path.name for path in tmp_path.iterdir()] == ["stores.json"]


@pytest.mark.parametrize("why", [errno.EACCES, errno.EROFS])
def test_a_colleague_who_may_only_read_is_told_whether_a_sweep_is_at_work(
    why: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _refused(*_: object, **__: object) -> NoReturn:
        raise OSError(why, os.strerror(why))

    storage = Storage(tmp_path)
    storage.prepare()
    with storage.locked("mine"):
        monkeypatch.setattr("orchestrator.storage.folder.FileLock", _refused)
        assert storage.is_locked()
        monkeypatch.undo()
        holder = storage.holder.read_text()
    # Who is killed leaves it.
    storage.holder.write_text(holder)
    monkeypatch.setattr("orchestrator.storage.folder.FileLock", _refused)
    assert not storage.is_locked()
    (tmp_path / ".lock").unlink()
    assert storage.is_locked(), "there is no way to tell"
