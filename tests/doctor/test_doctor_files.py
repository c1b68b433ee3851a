"""What is in the folder of results that should not be, and what must be left alone there."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scene import STRANGER, Scene

from orchestrator.storage.cell_folder import Point


def test_the_checkpoints_of_a_deleted_run_are_not_orphaned(scene: Scene) -> None:
    scene.add_run(STRANGER, epochs=(1, 2, 2))
    path = scene.add_file(STRANGER, "best.pt")
    scene.assert_mended("epoch 2 twice")
    assert path.exists()


def test_orphaned_checkpoints_are_removed(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key)
    mine = scene.add_file(scene.cells[1].key, Point(1).file_name)
    stranger = scene.add_file(STRANGER, Point(1).file_name)
    scene.assert_mended(str(stranger.parent), "kB")
    assert (mine.exists(), stranger.parent.exists()) == (True, False)
    assert [path.name for path in scene.storage.cells_dir.iterdir()] == [mine.parent.name]


@pytest.mark.parametrize(
    ("spare", "code", "said"),
    [
        (lambda folder: (folder / "notes.txt").write_text("mine"), 1, "notes.txt"),
        (lambda folder: (folder / "delivery.jsonl").write_text("{}\n"), 0, "zetasweep sync"),
        (lambda folder: (folder / "result.pt").write_bytes(b"it"), 0, "zetasweep sync"),
        (lambda folder: os.utime(folder), 0, "perhaps it is trained"),
    ],
    ids=["a file of the user", "not delivered", "a result", "fresh"],
)
def test_what_may_be_wanted_is_not_removed(scene: Scene, spare: Callable[[Path], object], code: int, said: str) -> None:
    scene.add_run(scene.cells[0].key)
    folder = scene.add_file(STRANGER, Point(1).file_name).parent
    spare(folder)
    before = sorted(folder.iterdir())
    answer = scene.doctor("--fix")
    assert (answer.code, sorted(folder.iterdir())) == (code, before), answer.out
    assert said in answer.out


def test_a_store_without_runs_does_not_make_orphans(scene: Scene) -> None:
    path = scene.add_file(STRANGER, Point(1).file_name)
    scene.assert_well()
    scene.client.create_experiment("another")
    scene.assert_well()
    assert path.exists()


def test_what_another_store_may_know_is_not_removed(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key)
    path = scene.add_file(STRANGER, Point(1).file_name)
    scene.storage.note_store("http://server:5000")
    answer = scene.doctor("--fix")
    assert answer.code == 0, answer.out
    assert "http://server:5000): see for yourself" in answer.out
    assert path.exists()


def test_what_is_not_a_cell_is_left_alone(scene: Scene, tmp_path: Path) -> None:
    scene.add_run(scene.cells[0].key)
    elsewhere = scene.add_file(STRANGER, Point(1).file_name).parent.rename(tmp_path / "elsewhere")
    (scene.storage.cells_dir / STRANGER).symlink_to(elsewhere)
    (scene.storage.cells_dir / "README").write_text("mine")
    (scene.storage.root / "ray-notes").mkdir()
    scene.assert_well()
    assert scene.doctor("--fix").code == 0
    assert len(list(elsewhere.iterdir())) == 1


def test_a_finished_cell_keeps_its_best_weights_only(scene: Scene) -> None:
    key = scene.cells[0].key
    scene.add_run(key)
    best = scene.add_file(key, "best.pt")
    for name in (Point(2).file_name, Point(1, 7).file_name, "result.pt"):
        scene.add_file(key, name)
    for name in ("audit/audit.json", "test/per_class.csv"):
        (best.parent / name).parent.mkdir()
        (best.parent / name).write_text("{}")
    (best.parent / "delivery.jsonl").write_text('{"kind": "start", "body": {}}\n')
    scene.assert_mended(Point(2).file_name, Point(1, 7).file_name, "result.pt", "audit", "test", "delivery.jsonl")
    assert [path.name for path in best.parent.iterdir()] == ["best.pt"]


def test_what_waits_for_another_store_is_not_removed(scene: Scene) -> None:
    key = scene.cells[0].key
    scene.add_run(key)
    scene.add_file(key, "best.pt")
    waiting = scene.add_file(key, "result.pt")
    scene.storage.note_store("http://elsewhere:5000")
    answer = scene.doctor("--fix")
    assert answer.code == 0, answer.out
    assert "results of a finished cell that may wait for another MLflow store" in answer.out
    assert "http://elsewhere:5000" in answer.out
    assert waiting.exists()


def test_a_damaged_checkpoint_is_removed(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key, status="KILLED", epochs=(1,))
    good, damaged = (scene.add_file(scene.cells[0].key, Point(epoch).file_name) for epoch in (1, 2))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    scene.assert_mended(str(damaged), "a damaged checkpoint")
    assert (good.exists(), damaged.exists()) == (True, False)


def test_files_of_the_user_beside_checkpoints_are_left_alone(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key, status="KILLED", epochs=(1,))
    folder = scene.add_file(scene.cells[0].key, Point(1).file_name).parent
    torch.save(torch.nn.Linear(1, 1), folder / "mine.pt")
    (folder / "old.pt").write_bytes(b"no checkpoint")
    scene.assert_well()
    assert scene.doctor("--fix").code == 0
    assert {path.name for path in folder.iterdir()} == {Point(1).file_name, "mine.pt", "old.pt"}


def test_results_that_wait_are_told(scene: Scene) -> None:
    key = scene.cells[0].key
    scene.add_run(key, status="KILLED", epochs=(1,))
    scene.add_file(key, Point(1).file_name).with_name("delivery.jsonl").write_text('{"kind": "start", "body": {}}\n')
    answer = scene.doctor("--fix")
    assert answer.code == 0
    assert "zetasweep sync" in answer.out


def test_what_killed_processes_leave_is_removed(scene: Scene) -> None:
    kept = scene.add_file(scene.cells[0].key, Point(1).file_name)
    host = socket.gethostname()
    gone = kept.with_name(f".best.pt.{host}.4194305.tmp")
    old = kept.with_name(".best.pt.elsewhere.example.1.tmp")
    alive = kept.with_name(f".best.pt.{host}.{os.getpid()}.tmp")
    for path in (gone, old, alive):
        path.write_bytes(b"part")
    os.utime(old, (0, 0))
    scratch = scene.storage.root / "ray-abcd_123"
    (scratch / "session").mkdir(parents=True)
    scene.storage.holder.write_text(json.dumps({"sweep": "mine", "pid": 1}))
    scene.assert_mended(str(gone), str(old), str(scratch), str(scene.storage.holder))
    assert not any(path.exists() for path in (gone, old, scratch, scene.storage.holder))
    assert (kept.exists(), alive.exists()) == (True, True)
