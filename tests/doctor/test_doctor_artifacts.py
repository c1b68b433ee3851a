"""What MLflow says that finished cells have, and what is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Call
from scene import Scene
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator.records import Opened, Started
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage import journal
from orchestrator.tracking.names import MODEL_URI


def files_of(scene: Scene, run_id: str) -> tuple[Path, Path]:
    """The folders of a run's files and of its model's."""
    run = scene.client.get_run(run_id)
    model_id = run.data.tags["zetasweep.model_uri"].removeprefix("models:/")
    addresses = run.info.artifact_uri, scene.client.get_logged_model(model_id).artifact_location
    files, model = (Path(address.removeprefix("file://")) for address in addresses)
    assert files.is_dir()
    assert model.is_dir()
    return files, model


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (lambda files, _: (files / "cell.json").unlink(), "cell.json of run"),
        (lambda _, model: (model / "MLmodel").unlink(), "/MLmodel of run"),
        (lambda _, model: shutil.rmtree(model / "data"), "/data of run"),
        (lambda _, model: (model / "data" / "model.pt2").write_bytes(b""), "/data of run"),
        (lambda files, _: shutil.rmtree(files.parents[1]), "a folder of artifacts that is not there"),
    ],
    ids=["a file", "the model's description", "the model's weights", "empty weights", "everything"],
)
def test_artifacts_that_are_not_there(scene: Scene, lose: Callable[[Path, Path], object], said: str) -> None:
    sound, broken = (scene.add_run(cell.key) for cell in scene.cells)
    scene.assert_well()
    lose(*files_of(scene, broken))
    answer = scene.doctor("--fix")
    assert answer.code == 1, answer.out
    assert said in answer.out
    assert (broken in answer.out) == ("folder" not in said)
    assert sound not in answer.out


def test_a_model_that_mlflow_has_not_any_more(scene: Scene) -> None:
    run_id = scene.add_run(scene.cells[0].key)
    model_uri = scene.client.get_run(run_id).data.tags["zetasweep.model_uri"]
    scene.client.delete_logged_model(model_uri.removeprefix("models:/"))
    answer = scene.doctor()
    assert answer.code == 1
    assert model_uri in answer.out


def test_the_best_weights_of_a_finished_cell_are_written_anew(scene: Scene, call: Call) -> None:
    cell = scene.cells[0]
    folder = scene.storage.cells_dir / cell.key
    save_weights(folder)
    journal.begin(folder)
    for event in (Opened(), Started(FACTS), epoch(1), epoch(2), RESULT):
        journal.append(folder, event)
    assert call("sync", scene.file).code == 0
    before = checkpoint.load(folder / "best.pt")
    assert before is not None
    scene.assert_well()
    (folder / "best.pt").unlink()
    scene.assert_mended("a finished cell without its best weights", str(folder / "best.pt"))
    assert_same_weights(folder / "best.pt", before)
    damage(folder / "best.pt")
    scene.assert_mended("a finished cell with damaged best weights", str(folder / "best.pt"), "anew from the model")
    assert_same_weights(folder / "best.pt", before)
    # A model whose files are lost is registered under no name.
    shutil.rmtree(scene.storage.artifacts_dir)
    answer = call("select", scene.file, "-o", "augment=erm", "--register", "mine")
    assert answer.code == 2
    assert "--register mine: the model is not there: models:/m-" in answer.err
    assert scene.client.search_registered_models() == []


def assert_same_weights(path: Path, before: dict[str, Any]) -> None:
    after = checkpoint.load(path)
    assert after is not None
    assert after["epoch"] == 2
    torch.testing.assert_close(after["model"], before["model"], rtol=0, atol=0)


@pytest.mark.parametrize("lose", [damage, Path.unlink])
def test_best_weights_that_are_nowhere_else_are_left_as_they_are(scene: Scene, lose: Callable[[Path], object]) -> None:
    run_id = scene.add_run(scene.cells[0].key)
    scene.client.delete_tag(run_id, MODEL_URI)
    best = scene.add_file(scene.cells[0].key, "best.pt")
    lose(best)
    there = best.exists()
    for _ in range(2):
        answer = scene.doctor("--fix")
        assert answer.code == 1, answer.out
        assert (str(best) in answer.out, best.exists()) == (True, there)
        assert f"run {run_id}" in answer.out
        assert "zetasweep run trains the cells again" in answer.out
    scene.client.delete_run(run_id)
    assert scene.doctor("--fix").code == 0
    scene.assert_well()


def test_without_a_model_the_best_weights_are_lost(scene: Scene) -> None:
    scene.add_run(scene.cells[0].key)
    (scene.storage.cells_dir / scene.cells[0].key).mkdir(parents=True)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    assert "cannot be loaded" in answer.out
