from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from orchestrator.results import predictions_of_cell, read_predictions
from orchestrator.storage import CellFolder, Predictions


def made_up(label: int, *, order: str = "0" * 64) -> Predictions:
    some, likely = np.zeros(3, np.float32), np.ones(3, np.float32)
    return Predictions(np.full(3, label, np.uint8), np.zeros(3, np.uint8), some, likely, order)


@pytest.fixture
def folder(tmp_path: Path) -> CellFolder:
    return CellFolder(tmp_path / "0123456789abcdef")


def test_the_folder_comes_first_and_mlflow_only_if_asked_for(folder: CellFolder) -> None:
    asked: list[Path] = []

    def fetch(path: Path) -> bool:
        asked.append(path)
        made_up(2).save(path)
        return True

    assert predictions_of_cell(folder) is None
    assert predictions_of_cell(folder, fetch=lambda _: False) is None
    fetched = predictions_of_cell(folder, fetch=fetch)
    assert fetched is not None
    assert fetched.labels.tolist() == [2, 2, 2]
    assert not folder.path.exists()
    assert not asked[0].exists()
    made_up(1).save(folder.predictions)
    found = predictions_of_cell(folder, fetch=fetch)
    assert found is not None
    assert found.labels.tolist() == [1, 1, 1]
    assert len(asked) == 1


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def take_away(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [damage, take_away])
def test_what_cannot_be_read_is_named_and_left_out(
    folder: CellFolder, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    made_up(1).save(folder.predictions)
    assert read_predictions(folder.predictions) is not None
    assert callable(spoil)
    spoil(folder.predictions)
    with caplog.at_level(logging.WARNING):
        assert read_predictions(folder.predictions) is None
    assert str(folder.predictions) in caplog.text
    assert "Traceback" not in caplog.text


def test_other_images_are_named_and_left_out(folder: CellFolder, caplog: pytest.LogCaptureFixture) -> None:
    made_up(1, order="a" * 64).save(folder.predictions)
    assert read_predictions(folder.predictions, order="a" * 64) is not None
    assert caplog.text == ""
    assert read_predictions(folder.predictions, order="b" * 64) is None
    assert f"{folder.predictions} is of other test images" in caplog.text
