"""The names of the files of a cell, and which of them may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.storage.cell_folder import CellFolder, Point, is_key

CHECKPOINTS = ("00002-00000000.pt", "00001-00000007.pt")


@pytest.fixture
def cell(tmp_path: Path) -> CellFolder:
    """A folder with all that there can be in it."""
    folder = CellFolder(tmp_path / "0123456789abcdef")
    for name in ("audit", "test"):
        (folder.path / name).mkdir(parents=True)
    of_the_end = ("best.pt", "predictions.npz", "result.pt", "delivery.jsonl", "test/per_class.csv")
    files = (*of_the_end, "audit/audit.json", "last.pt")
    for name in (*files, *CHECKPOINTS):
        (folder.path / name).touch()
    return folder


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_the_names_are_those_of_earlier_versions(cell: CellFolder) -> None:
    paths = (cell.best, cell.predictions, cell.result, cell.journal, cell.audit, cell.test, cell.point(Point(12, 345)))
    expected = ["best.pt", "predictions.npz", "result.pt", "delivery.jsonl", "audit", "test", "00012-00000345.pt"]
    assert names(list(paths)) == expected
    assert is_key(cell.key)
    assert not is_key("0123456789ABCDEF")


def test_points_are_read_from_the_names_newest_first(cell: CellFolder) -> None:
    (cell.path / "100000-00000000.pt").touch()
    assert cell.points() == [Point(100_000), Point(2), Point(1, 7)]
    assert names(cell.checkpoints()) == ["best.pt", "result.pt", "100000-00000000.pt", *CHECKPOINTS]


def test_a_finished_cell_keeps_its_best_weights_and_predictions(cell: CellFolder) -> None:
    assert names(cell.needless()) == [*sorted(CHECKPOINTS), "audit", "delivery.jsonl", "result.pt", "test"]
    cell.shrink()
    assert sorted(names(list(cell.path.iterdir()))) == ["best.pt", "last.pt", "predictions.npz"]
    assert cell.needless() == cell.undelivered == []


def test_of_a_cell_that_was_finished_elsewhere_nothing_is_kept(cell: CellFolder) -> None:
    """Its test was cut off here, between the predictions and the best weights."""
    for name in ("best.pt", "last.pt"):
        (cell.path / name).unlink()
    cell.shrink()
    assert not cell.path.exists()


def test_what_zetasweep_did_not_write_is_told_apart(cell: CellFolder) -> None:
    assert cell.foreign() == []
    for name in (".best.pt.host.1.tmp", "mine.pt", "1-2.pt", "notes.txt"):
        (cell.path / name).touch()
    assert names(cell.foreign()) == ["1-2.pt", "mine.pt", "notes.txt"]
    cell.shrink()
    assert names(cell.foreign()) == ["1-2.pt", "mine.pt", "notes.txt"]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    cell = CellFolder(tmp_path / "absent")
    assert cell.points() == cell.checkpoints() == cell.undelivered == cell.needless() == cell.foreign() == []
    cell.shrink()
    assert not cell.path.exists()
