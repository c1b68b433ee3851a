"""The folder of one cell: the names of its files, and which of them a finished cell does without."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.storage.atomic import is_temporary

# The only checkpoint of earlier versions.
_EARLIER = "last.pt"
_KEY = re.compile(r"[0-9a-f]{16}")
_POINT = re.compile(r"(\d{5,})-(\d{8,})\.pt")


@dataclass(frozen=True, order=True)
class Point:
    """How far a training is.

    Attributes:
        epoch: Finished epochs.
        step: Optimizer steps of the next one that are done.
    """

    epoch: int
    step: int = 0

    @property
    def file_name(self) -> str:
        """The name of its checkpoint; names sort as points do, up to epoch 99,999."""
        return f"{self.epoch:05d}-{self.step:08d}.pt"


@dataclass(frozen=True)
class CellFolder:
    """The paths of one cell; nothing is made or read unless a method says so.

    Attributes:
        path: Named after the cell's key.
    """

    path: Path

    @property
    def key(self) -> str:
        """The key of the cell."""
        return self.path.name

    @property
    def best(self) -> Path:
        """The weights of the best epoch, and the number of that epoch: a finished cell keeps them."""
        return self.path / "best.pt"

    @property
    def predictions(self) -> Path:
        """What the best weights say of each test image: kept beside them; cells of earlier versions have none."""
        return self.path / "predictions.npz"

    @property
    def result(self) -> Path:
        """History and result of a finished cell, until MLflow has them."""
        return self.path / "result.pt"

    @property
    def is_delivered(self) -> bool:
        """Whether the cell is finished and MLflow has its result: of all that it wrote only what it keeps is left."""
        return self.best.exists() and not self.undelivered and not self.points()

    @property
    def journal(self) -> Path:
        """The cell's events, until MLflow has them (`orchestrator.storage.journal`)."""
        return self.path / "delivery.jsonl"

    @property
    def audit(self) -> Path:
        """The folder with what the augmentation made of the first batch, until MLflow has it."""
        return self.path / "audit"

    @property
    def test(self) -> Path:
        """The folder with the tables of the test, until MLflow has them."""
        return self.path / "test"

    def point(self, point: Point) -> Path:
        """The file of the checkpoint at `point`."""
        return self.path / point.file_name

    def points(self) -> list[Point]:
        """Return the points that there are checkpoints of, the newest first; they may be damaged."""
        matches = [_POINT.fullmatch(path.name) for path in self.path.glob("*.pt")]
        return sorted((Point(int(found[1]), int(found[2])) for found in matches if found), reverse=True)

    def checkpoints(self) -> list[Path]:
        """Return the files with weights or a result that are there."""
        return [path for path in (self.best, self.result, *map(self.point, self.points())) if path.exists()]

    @property
    def undelivered(self) -> list[Path]:
        """What is there until MLflow has it, and may be all that is left of a training."""
        return [path for path in (self.result, self.journal) if path.exists()]

    def needless(self) -> list[Path]:
        """Return what is there and a finished cell that MLflow has does without; it keeps weights and predictions."""
        known = {*map(self.point, self.points()), self.result, self.journal, self.audit, self.test}
        return [path for path in below(self.path) if path in known]

    def foreign(self) -> list[Path]:
        """Return what is there and was not written by zetasweep."""
        ours = {*self.needless(), self.best, self.predictions, self.path / _EARLIER}
        return [path for path in below(self.path) if path not in ours and not is_temporary(path)]

    def shrink(self) -> None:
        """Remove what is needless once MLflow has the finished cell; the folder, too, if it was finished elsewhere."""
        # In this order: a result without a journal is of a cell that was never delivered.
        self.result.unlink(missing_ok=True)
        for point in self.points():
            self.point(point).unlink(missing_ok=True)
        for folder in (self.audit, self.test):
            shutil.rmtree(folder, ignore_errors=True)
        self.journal.unlink(missing_ok=True)
        if not self.best.exists():
            self.predictions.unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty, or not there
            self.path.rmdir()


def is_key(name: str) -> bool:
    """Return whether a folder of this name is a cell's."""
    return _KEY.fullmatch(name) is not None


def below(folder: Path) -> list[Path]:
    """Return what is in a folder, without links, which lead elsewhere; nothing if it is none."""
    return sorted(path for path in folder.iterdir() if not path.is_symlink()) if folder.is_dir() else []
