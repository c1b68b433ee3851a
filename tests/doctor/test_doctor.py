"""What ``zetasweep doctor`` says as a whole: of nothing, of what is well, and where it cannot look."""

from __future__ import annotations

import os
import shutil
import socket

from scene import MINE, STRANGER, Scene

from orchestrator.storage.cell_folder import Point


def test_nothing_is_there_yet(scene: Scene) -> None:
    shutil.rmtree(scene.storage.root)
    for options in ((), ("--fix",)):
        answer = scene.doctor(*options)
        assert (answer.code, answer.out.splitlines()[-1]) == (0, "nothing is wrong")
        for shown in ("torch", "GPUs:", "Ray:", "MLflow:", "disk:"):
            assert shown in answer.out
    assert not scene.storage.root.exists()


def test_all_is_well(scene: Scene) -> None:
    key = scene.cells[0].key
    run_id = scene.add_run(key)
    path = scene.add_file(key, "best.pt")
    scene.assert_well()
    assert scene.doctor("--fix").code == 0
    assert (scene.active(), path.exists()) == ({run_id}, True)


def test_wrong_input(scene: Scene) -> None:
    scene.file.write_text(MINE.replace("digits", "digit"))
    answer = scene.doctor()
    assert answer.code == 2
    assert "digits" in answer.err


def test_a_sweep_at_work_is_not_disturbed(scene: Scene) -> None:
    run_id = scene.add_run(scene.cells[0].key, status="RUNNING", epochs=(1,))
    scratch = scene.storage.root / "ray-abcd_123"
    scratch.mkdir()
    with scene.storage.locked("mine"):
        answer = scene.doctor()
        assert answer.code == 0, answer.out
        assert "a sweep is at work" in answer.out
        assert str(os.getpid()) in answer.out
        refused = scene.doctor("--fix")
        assert refused.code == 2
        assert "in use by the sweep mine" in refused.err
    assert scratch.exists()
    assert scene.client.get_run(run_id).info.status == "RUNNING"


def test_mlflow_that_nobody_answers(scene: Scene) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    path = scene.add_file(STRANGER, Point(1).file_name)
    answer = scene.doctor("--fix", "-o", f"tracking.uri=http://127.0.0.1:{port}")
    assert answer.code == 1
    assert f"http://127.0.0.1:{port}: MLflow does not answer" in answer.out
    assert path.exists()
