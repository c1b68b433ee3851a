from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import CellFolder, Point

OLD = {"epoch": 1, "model": {"weight": torch.arange(3.0)}}
NEW = {"epoch": 2, "model": {"weight": torch.arange(3.0) + 1}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells" / "key" / "best.pt"


def assert_holds(path: Path, expected: dict[str, Any]) -> None:
    state = checkpoint.load(path)
    assert state is not None
    assert state["epoch"] == expected["epoch"]
    assert torch.equal(state["model"]["weight"], expected["model"]["weight"])
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing else lies beside it"


def test_no_file_is_no_checkpoint(path: Path) -> None:
    assert checkpoint.load(path) is None


def test_save_makes_the_folder_and_replaces_the_old_file(path: Path) -> None:
    checkpoint.save(path, OLD)
    assert_holds(path, OLD)
    checkpoint.save(path, NEW)
    assert_holds(path, NEW)


def test_what_a_training_keeps_comes_back(path: Path) -> None:
    layer = torch.nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    history = [{"epoch": 1, "metrics": {"val/error": 0.5, "val/auroc": float("nan")}, "timestamp_ms": 1700000000000}]
    checkpoint.save(path, {"model": layer.state_dict(), "optimizer": optimizer.state_dict(), "history": history})
    state = checkpoint.load(path)
    assert state is not None
    assert repr(state["history"]) == repr(history)
    assert torch.equal(state["model"]["weight"], layer.weight)
    assert state["model"]["weight"].stride() == layer.weight.stride()
    again = torch.optim.AdamW(layer.parameters())
    again.load_state_dict(state["optimizer"])
    assert repr(again.state_dict()) == repr(optimizer.state_dict())


@pytest.mark.parametrize("old", [OLD, None])
def test_interrupted_write_changes_nothing(path: Path, old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir(parents=True)
    if old is not None:
        checkpoint.save(path, old)

    def write_half(_: object, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, NEW)
    if old is not None:
        assert_holds(path, old)
    else:
        assert list(path.parent.iterdir()) == []


class FullFile(io.FileIO):
    """A file on a disk with space for `left` bytes."""

    left = 0

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("left", [0, 100, 5_000, 500_000, 1_000_500])
def test_a_disk_that_fills_up_anywhere_is_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """torch hides the error of a write behind one of its own."""
    checkpoint.save(path, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(FullFile, "left", left)
        patch.setattr(Path, "open", lambda file, mode: FullFile(file, mode))
        with pytest.raises(OSError, match="No space left") as caught:
            checkpoint.save(path, {"model": torch.zeros(250_000)})
    assert caught.value.errno == errno.ENOSPC
    assert_holds(path, OLD)


def test_what_there_is_no_memory_for_is_not_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> None:
        # As torch puts it.
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 4000000 bytes. Error code 12 (Cannot allocate memory)"
        )

    checkpoint.save(path, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", load)
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            checkpoint.Checkpoints(CellFolder(path.parent)).load(path)
    assert_holds(path, OLD)


def test_a_late_write_removes_nothing_newer(tmp_path: Path) -> None:
    """Of a process that was thought dead while another went on."""
    folder = CellFolder(tmp_path)
    points = checkpoint.Checkpoints(folder)
    for epoch in (1, 2, 3, 100_000):
        points.save(Point(epoch), OLD, best_epoch=2)
    points.save(Point(2, 500), OLD, best_epoch=1)
    kept = [Point(100_000), Point(3), Point(2, 500), Point(2)]
    assert folder.points() == kept


def test_reader_sees_the_old_file_until_the_new_one_is_on_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(path, OLD)
    written_to_disk: list[int] = []

    def fsync(descriptor: int) -> None:
        state = checkpoint.load(path)
        assert state is not None
        assert state["epoch"] == (NEW if written_to_disk else OLD)["epoch"]
        written_to_disk.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint.save(path, NEW)
    flushed = [path.stat().st_ino, path.parent.stat().st_ino]
    assert written_to_disk == flushed, "the file that is there now, and then its name"
    assert_holds(path, NEW)


def test_a_second_writer_does_not_write_into_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_id = os.getpid()

    def fsync(_: int) -> None:
        # Another process saves the same checkpoint while this one is about to.
        monkeypatch.undo()
        monkeypatch.setattr(os, "getpid", lambda: own_id + 1)
        checkpoint.save(path, OLD)

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint.save(path, NEW)
    assert_holds(path, NEW)


class Malicious:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    path, made = tmp_path / "best.pt", tmp_path / "made"
    torch.save({"model": Malicious(made)}, path)
    with pytest.raises(checkpoint.DamagedError, match="more than tensors and plain values"):
        checkpoint.load(path)
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.exists(), "the test's file does what it should if it is trusted"
