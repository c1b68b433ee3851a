"""Where checkpoints are uploaded beside the training: it waits for them at its end, and trouble is not its failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import CellError, LostError
from orchestrator.objects import Found, ObjectsError
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage import work
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.work import CopiedWork
from orchestrator.sweep import keeping
from orchestrator.sweep.keeping import Keeping


class Refusing(FolderObjects):
    """A place for objects that takes some.

    Attributes:
        error: What is raised where something is put; None for nothing.
    """

    error: ObjectsError | None = None

    def put(self, name: str, content: bytes | Path) -> str:
        if self.error is not None:
            raise self.error
        return super().put(name, content)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PAUSE_S", 0.01)
    monkeypatch.setattr(keeping, "BEAT_EVERY_S", 0.05)


@pytest.fixture
def objects(tmp_path: Path) -> Refusing:
    return Refusing(tmp_path / "objects")


def kept_of(
    objects: Refusing, path: Path, *, patience_s: float = 60.0, on_wait: Callable[[], None] = lambda: None
) -> Keeping:
    """Return what a training of one rank has, which has written a checkpoint."""
    copied = CopiedWork(objects, "cells/key", path, guard=lambda: None, patience_s=patience_s)
    checkpoint.save(path / "00001-00000000.pt", {})
    return Keeping(copied, "s3://b", from_rank_0=lambda ask: ask(), on_wait=on_wait)


def test_what_is_told_follows_what_is_kept(objects: Refusing, tmp_path: Path) -> None:
    told: list[list[Found]] = []
    found = kept_of(objects, tmp_path / "copy")
    found.then(lambda: told.append(objects.list()))
    found.wait()
    assert [each.name for each in told[0]] == ["cells/key/00001-00000000.pt"]


@pytest.mark.parametrize("can_pass", [False, True])
def test_a_storage_that_takes_nothing_is_no_failure_of_the_training(
    objects: Refusing, tmp_path: Path, can_pass: bool
) -> None:
    """Else a race would put the configuration last. What may pass is waited for as long as workers may be silent."""
    objects.error = ObjectsError("storage = s3://b: it is full", remedy="make room", can_pass=can_pass)
    waits: list[int] = []
    found = kept_of(objects, tmp_path / "copy", patience_s=0.3, on_wait=lambda: waits.append(1))
    with pytest.raises(LostError, match="it is full") as caught:
        found.wait()
    assert "make room" in str(caught.value)
    assert waits, "it gives signs of life, and heeds that its node goes"
    with pytest.raises(LostError):
        found.then(lambda: None)


def test_who_cannot_be_told_is_no_failure_of_the_training(objects: Refusing, tmp_path: Path) -> None:
    """The error ends the group, as it does where nothing is uploaded, and the cell is handed out again."""

    def unreachable() -> None:
        raise ConnectionError("the mailbox does not answer")

    found = kept_of(objects, tmp_path / "copy")
    found.then(unreachable)
    with pytest.raises(ConnectionError) as caught:
        found.wait()
    assert not isinstance(caught.value, CellError)
