"""The predictions for each test image, which finished cells of earlier versions lack: told, and computed on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from scene import Scene

from orchestrator.data import Dataset, load_dataset
from orchestrator.doctor import predictions as mending
from orchestrator.errors import DataError
from orchestrator.experiment import Cell
from orchestrator.storage import CellFolder
from orchestrator.tracking.names import SPLIT_HASH
from orchestrator.train import train_cell

NONE = "predictions: of 1 finished cell 1 without those for each test image"


@dataclass(frozen=True)
class Finished:
    """A cell that was trained, whose run is finished."""

    cell: Cell
    folder: CellFolder
    dataset: Dataset
    run_id: str
    artifact: Path
    written: bytes

    @property
    def kept(self) -> tuple[bytes, bytes]:
        return self.folder.predictions.read_bytes(), self.artifact.read_bytes()


@pytest.fixture
def finished(scene: Scene, tmp_path: Path) -> Finished:
    """Finished by an earlier version; `written` is what this one would have kept."""
    cell = scene.cells[0]
    folder = scene.storage.cell(cell.key)
    spec = cell.dataset
    dataset = load_dataset(spec.name, tmp_path, **spec.decode_options(), **spec.split_options())
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    train_cell(cell, dataset, checkpoint_dir=folder.path, device=torch.device("cpu"), report=lambda _: None)
    torch.set_num_threads(before)
    folder.shrink()
    written = folder.predictions.read_bytes()
    folder.predictions.unlink()
    run_id = scene.add_run(cell.key, **{SPLIT_HASH: dataset.split_hash})
    address = str(scene.client.get_run(run_id).info.artifact_uri).removeprefix("file://")
    return Finished(cell, folder, dataset, run_id, Path(address) / "test" / "predictions.npz", written)


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("nothing is to be computed")


def test_what_earlier_versions_did_not_keep_is_computed(
    scene: Scene, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    looked = scene.doctor()
    assert (looked.code, looked.out.count("predictions")) == (0, 1), looked.out
    assert f"{NONE}, which earlier versions did not keep; --fix computes them" in looked.out
    assert looked.out.endswith("nothing is wrong\n")
    assert not finished.folder.predictions.exists()

    mended = scene.doctor("--fix")
    assert mended.code == 0, mended.out
    assert f"{finished.folder.predictions} (cell {finished.cell.key}, {finished.cell.label}): mended" in mended.out
    assert finished.kept == (finished.written, finished.written)
    assert torch.get_num_threads() == threads

    monkeypatch.setattr(mending, "predict_again", refuse)
    for options in ((), ("--fix",)):
        assert "predictions" not in scene.doctor(*options).out


@pytest.mark.parametrize("lost", ["folder", "artifact"])
def test_what_is_in_one_place_is_put_into_the_other(
    scene: Scene, finished: Finished, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "predict_again", refuse)
    (finished.artifact if lost == "folder" else finished.folder.predictions).parent.mkdir(exist_ok=True)
    (finished.artifact if lost == "folder" else finished.folder.predictions).write_bytes(finished.written)
    assert NONE in scene.doctor().out
    assert ": mended" in scene.doctor("--fix").out
    assert finished.kept == (finished.written, finished.written)
    scene.assert_well()


@pytest.mark.parametrize("also_in_mlflow", [False, True])
def test_damaged_predictions_are_made_anew(scene: Scene, finished: Finished, also_in_mlflow: bool) -> None:
    damaged = finished.written[:-100]
    finished.folder.predictions.write_bytes(damaged)
    if also_in_mlflow:
        finished.artifact.parent.mkdir()
        finished.artifact.write_bytes(damaged)
    scene.assert_mended("damaged predictions", str(finished.folder.predictions))
    assert finished.kept == (finished.written, finished.written)


def lose_data(_: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise DataError("digits is missing")

    monkeypatch.setattr(mending, "load_dataset", load)


def change_data(_: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "load_dataset", lambda *_, **__: load_dataset("digits", Path(), num_train=300))


def lose_weights(finished: Finished, _: pytest.MonkeyPatch) -> None:
    finished.folder.best.unlink()
    finished.folder.path.rmdir()


def take_other_weights(finished: Finished, _: pytest.MonkeyPatch) -> None:
    torch.save({"model": {"weight": torch.zeros(3)}}, finished.folder.best)


def fill_disk(_: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mending.Predictions, "save", save)


@pytest.mark.parametrize(
    ("prevent", "said"),
    [
        (lose_data, ": not mended: digits is missing"),
        (change_data, ": not mended: digits consists of other files, pixels or labels than when the cell was tested"),
        (lose_weights, "its best weights are not here: zetasweep doctor --fix with the storage in which it was"),
        (take_other_weights, "best.pt: no convnet can predict with it ("),
        (fill_disk, ": not mended: [Errno 28] No space left on device"),
    ],
)
def test_what_cannot_be_computed_is_said_and_left(
    scene: Scene,
    finished: Finished,
    prevent: Callable[[Finished, pytest.MonkeyPatch], None],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is no fault: the cell's results are all there."""
    prevent(finished, monkeypatch)
    for options in ((), ("--fix",)):
        answer = scene.doctor(*options)
        assert answer.code == 0, answer.out
        assert NONE in answer.out
        assert (said in answer.out) == bool(options), answer.out
    assert not finished.folder.predictions.exists()
    assert not finished.artifact.exists()
