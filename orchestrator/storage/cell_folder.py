"""The folder of a cell: the names of what lies in it, and what of it may go."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

AUDIT = "audit"
# What zetasweep wrote before it kept more than one checkpoint.
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
        """Sorts as points do, up to epoch 99,999."""
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
        """The cell's."""
        return self.path.name

    @property
    def best(self) -> Path:
        """The weights of the best epoch, and their epoch: all that a finished cell keeps."""
        return self.path / "best.pt"

    @property
    def result(self) -> Path:
        """History and result of a finished cell, until MLflow has them."""
        return self.path / "result.pt"

    @property
    def journal(self) -> Path:
        """What is told of the cell, until MLflow has it (`orchestrator.storage.journal`)."""
        return self.path / "delivery.jsonl"

    @property
    def audit(self) -> Path:
        """The folder of what the augmentation made of the first batch, until MLflow has it."""
        return self.path / "audit"

    def point(self, point: Point) -> Path:
        """The file of what a training can go on from."""
        return self.path / point.file_name

    def points(self) -> list[Point]:
        """Return what a training could go on from, the newest first; whether it is whole is not looked at."""
        matches = [_POINT.fullmatch(path.name) for path in self.path.glob("*.pt")]
        return sorted((Point(int(found[1]), int(found[2])) for found in matches if found), reverse=True)

    @property
    def waits(self) -> bool:
        """Whether something in it may wait for MLflow."""
        return self.result.exists() or self.journal.exists()

    def needless(self) -> list[Path]:
        """Return what is there and a finished cell, which MLflow has, does without: all but the best weights."""
        known = {*map(self.point, self.points()), self.result, self.journal, self.audit}
        return [path for path in below(self.path) if path in known]

    def foreign(self) -> list[Path]:
        """Return what is there and zetasweep did not write; what is unfinished is not looked at."""
        ours = {*self.needless(), self.best, self.path / _EARLIER}
        return [path for path in below(self.path) if path not in ours]

    def forget_points(self) -> None:
        """Remove everything that a training goes on from."""
        for point in self.points():
            self.point(point).unlink(missing_ok=True)

    def shrink(self) -> None:
        """Remove what only a resumed training needs, and what MLflow has, of a finished cell."""
        self.result.unlink(missing_ok=True)
        self.forget_points()
        shutil.rmtree(self.audit, ignore_errors=True)
        self.journal.unlink(missing_ok=True)


def is_key(name: str) -> bool:
    """Return whether a folder of this name is a cell's."""
    return _KEY.fullmatch(name) is not None


def below(folder: Path) -> list[Path]:
    """Return what is in a folder, without links, which lead elsewhere; nothing if it is none."""
    return sorted(path for path in folder.iterdir() if not path.is_symlink()) if folder.is_dir() else []
