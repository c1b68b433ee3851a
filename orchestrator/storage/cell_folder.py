"""The folder of one cell: the names of its files, and which of them a finished cell does without.

Where a sweep is kept as objects, a path is that of a copy, which is fetched when it is asked for.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.storage.atomic import is_temporary, is_young, remove_whole
from orchestrator.storage.mirror import Mirror

BEST, PREDICTIONS = "best.pt", "predictions.npz"
# The only checkpoint of earlier versions.
_EARLIER = "last.pt"
RESULT, JOURNAL, _AUDIT, _TEST = "result.pt", "delivery.jsonl", "audit", "test"
_NEEDLESS = (RESULT, JOURNAL, _AUDIT, _TEST)
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
    """The paths of one cell; nothing is made or read unless a method says so, or it is a copy.

    Attributes:
        path: Named after the cell's key.
        mirror: What has the objects that it is a copy of; None of a folder that is none.
        address: Where those are; empty likewise.
    """

    path: Path
    mirror: Mirror | None = field(default=None, compare=False, repr=False)
    address: str = field(default="", compare=False, repr=False)

    @property
    def key(self) -> str:
        """The key of the cell."""
        return self.path.name

    def shown(self, name: str = "") -> str:
        """Return where it lies, or what is called `name` in it, for people."""
        return "/".join(filter(None, (self.address or str(self.path), name)))

    def in_words(self, said: object) -> str:
        """Return what an error says, or a path, with the address in place of the path of a copy."""
        return str(said).replace(str(self.path), self.shown())

    @property
    def best(self) -> Path:
        """The weights of the best epoch, and the number of that epoch: a finished cell keeps them."""
        return self._here(BEST)

    @property
    def predictions(self) -> Path:
        """What the best weights say of each test image: kept beside them; cells of earlier versions have none."""
        return self._here(PREDICTIONS)

    @property
    def result(self) -> Path:
        """History and result of a finished cell, until MLflow has them."""
        return self._here(RESULT)

    @property
    def is_delivered(self) -> bool:
        """Whether the cell is finished and MLflow has its result: of all that it wrote only what it keeps is left."""
        return self.has(BEST) and not self.undelivered and not self.points()

    @property
    def journal(self) -> Path:
        """The cell's events, until MLflow has them (`orchestrator.storage.journal`)."""
        return self._here(JOURNAL)

    @property
    def audit(self) -> Path:
        """The folder with what the augmentation made of the first batch, until MLflow has it."""
        return self._all_here(_AUDIT)

    @property
    def test(self) -> Path:
        """The folder with the tables of the test, until MLflow has them."""
        return self._all_here(_TEST)

    @property
    def exists(self) -> bool:
        """Whether there is anything of the cell."""
        return self.path.is_dir() if self.mirror is None else bool(self.mirror.below(self.path))

    def point(self, point: Point) -> Path:
        """The file of the checkpoint at `point`."""
        return self._here(point.file_name)

    def points(self) -> list[Point]:
        """Return the points that there are checkpoints of, the newest first; they may be damaged."""
        names = [path.name for path in self.path.glob("*.pt")] if self.mirror is None else self.mirror.names(self.path)
        return points_of(names)

    def checkpoints(self) -> list[Path]:
        """Return the files with weights or a result that are there."""
        return [path for path in (self.best, self.result, *map(self.point, self.points())) if path.exists()]

    def has(self, name: str) -> bool:
        """Return whether a file or a folder of that name is there; of a copy, it is not fetched for that."""
        return (self.path / name).exists() if self.mirror is None else name in self.mirror.names(self.path)

    @property
    def undelivered(self) -> list[Path]:
        """What is there until MLflow has it, and may be all that is left of a training."""
        return [self.path / name for name in (RESULT, JOURNAL) if self.has(name)]

    def names(self) -> list[str]:
        """Return what is in it, by name."""
        return [path.name for path in below(self.path)] if self.mirror is None else self.mirror.names(self.path)

    def needless(self) -> list[Path]:
        """Return what is there and a finished cell that MLflow has does without; it keeps weights and predictions."""
        return [self.path / name for name in self.names() if name in _NEEDLESS or _POINT.fullmatch(name)]

    def foreign(self) -> list[Path]:
        """Return what is there and was not written by zetasweep."""
        ours = {*self.needless(), *(self.path / name for name in (BEST, PREDICTIONS, _EARLIER))}
        found = (self.path / name for name in self.names())
        return [path for path in found if path not in ours and not is_temporary(path)]

    def size_of(self, path: Path) -> int:
        """Return how many bytes a file of it takes, or all in a folder."""
        if self.mirror is not None:
            return self.mirror.size_of(path)
        return sum(entry.stat().st_size for entry in (path, *path.rglob("*")) if entry.is_file())

    def with_best_here(self) -> CellFolder:
        """Return the folder as other processes of this machine can read it: of a copy, the best weights alone."""
        return self if self.mirror is None else CellFolder(self.best.parent, address=self.address)

    def keep(self, path: Path) -> None:
        """Have a file that was written be kept: in a folder it is."""
        if self.mirror is not None:
            self.mirror.keep(path)

    def keep_soon(self, path: Path) -> None:
        """Do so, and wait for nothing."""
        if self.mirror is not None:
            self.mirror.keep_soon(path)

    def remove(self, *paths: Path) -> None:
        """Remove files and folders of it, in this order; that one is not there does no harm."""
        if self.mirror is not None:
            self.mirror.remove(*paths)
            return
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def remove_soon(self, path: Path) -> None:
        """Remove a file of it, and wait for nothing; that it is not there does no harm."""
        if self.mirror is not None:
            self.mirror.remove_soon(path)
        else:
            path.unlink(missing_ok=True)

    def remove_whole(self) -> None:
        """Remove all of it, also what was not written by zetasweep."""
        if self.mirror is not None:
            self.mirror.remove_whole(self.path)
        else:
            remove_whole(self.path)

    def forget(self) -> None:
        """Have the copy of what is kept as objects take no room here; what is asked for is fetched again."""
        if self.mirror is not None:
            self.mirror.forget(self.path)

    @property
    def is_young(self) -> bool:
        """Whether it was written to within the last hour; what is kept as objects is not asked, it has a lock."""
        return self.mirror is None and is_young(self.path)

    def shrink(self) -> None:
        """Remove what is needless once MLflow has the finished cell; the folder, too, if it was finished elsewhere."""
        # In this order: a result without a journal is of a cell that was never delivered.
        points = [point.file_name for point in self.points()]
        self.remove(*(self.path / name for name in (RESULT, *points, _AUDIT, _TEST)))
        self.remove(self.path / JOURNAL)
        if not self.has(BEST):
            self.remove(self.path / PREDICTIONS)
        self.forget()
        with suppress(OSError):  # it is not empty, or not there
            self.path.rmdir()

    def _here(self, name: str) -> Path:
        return self.path / name if self.mirror is None else self.mirror.fetch(self.path / name)

    def _all_here(self, name: str) -> Path:
        return self.path / name if self.mirror is None else self.mirror.fetch_below(self.path / name)


def points_of(names: Iterable[str]) -> list[Point]:
    """Return those of the names of checkpoints, the newest first."""
    matches = map(_POINT.fullmatch, names)
    return sorted((Point(int(found[1]), int(found[2])) for found in matches if found), reverse=True)


def is_key(name: str) -> bool:
    """Return whether a folder of this name is a cell's."""
    return _KEY.fullmatch(name) is not None


def below(folder: Path) -> list[Path]:
    """Return what is in a folder, without links, which lead elsewhere; nothing if it is none."""
    return sorted(path for path in folder.iterdir() if not path.is_symlink()) if folder.is_dir() else []
