from __future__ import annotations

import errno
import io
import os
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.errors import UserError
from orchestrator.storage.checkpoints import DamagedError
from orchestrator.storage.predictions import FORMAT, Predictions, SomePredictions


def made_up(num: int = 50, *, num_classes: int = 3, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(num, num_classes)).astype(np.float16)
    return Predictions(
        labels=random.integers(num_classes, size=num, dtype=np.uint8),
        predicted=random.integers(num_classes, size=num, dtype=np.uint8),
        loss=random.exponential(size=num).astype(np.float32),
        confidence=random.random(num, dtype=np.float32),
        order="0" * 64,
        logits=logits - logits.max(axis=1, keepdims=True),
        groups=random.integers(9, size=num, dtype=np.int32),
    )


def same(one: Predictions | None, other: Predictions) -> bool:
    return one is not None and all(
        np.array_equal(mine, yours) and getattr(mine, "dtype", None) == getattr(yours, "dtype", None)
        for mine, yours in ((getattr(one, field.name), getattr(other, field.name)) for field in fields(other))
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells" / "key" / "predictions.npz"


@pytest.mark.parametrize("left_out", [(), ("groups",), ("logits",), ("groups", "logits")])
def test_what_is_saved_comes_back(path: Path, left_out: tuple[str, ...]) -> None:
    assert Predictions.load(path) is None
    for seed in (0, 1):
        saved = replace(made_up(seed=seed), **dict.fromkeys(left_out))
        saved.save(path)
        assert same(Predictions.load(path), saved)
    content = path.read_bytes()
    saved.save(path)
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("labels", np.zeros((50, 1), np.uint8)),
        ("labels", np.full(50, 3, np.uint8)),
        ("predicted", np.zeros(49, np.uint8)),
        ("predicted", np.zeros(50, np.int64)),
        ("loss", np.full(50, np.nan, np.float32)),
        ("loss", np.full(50, -1, np.float32)),
        ("loss", np.zeros(50)),
        ("confidence", np.full(50, 1.5, np.float32)),
        ("logits", np.zeros((49, 3), np.float16)),
        ("logits", np.ones((50, 3), np.float16)),
        ("groups", np.full(50, -1, np.int32)),
    ],
)
def test_impossible_arrays_are_refused(path: Path, name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"label|predicted|loss|confidence|logits|groups"):
        replace(made_up(), **{name: wrong})
    arrays = {field.name: getattr(made_up(), field.name) for field in fields(Predictions)} | {name: wrong}
    path.parent.mkdir(parents=True)
    np.savez(path, format=np.asarray(FORMAT), **arrays)
    with pytest.raises(DamagedError, match=str(path)):
        Predictions.load(path)


def test_a_damaged_file_is_named(path: Path) -> None:
    saved = made_up(200)
    saved.save(path)
    content = path.read_bytes()
    found = []
    for at in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[at] ^= 0x10
        for damaged in (bytes(flipped), content[:at]):
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of zipfile, about names that stand twice
                try:
                    # What no checksum covers, e.g. a date, is no part of what was saved.
                    assert same(Predictions.load(path), saved)
                except DamagedError as error:
                    found.append(str(error))
    assert len(found) > len(content) // 7
    assert all(str(path) in error for error in found)


def test_a_part_is_read_alone_and_its_damage_is_seen(path: Path) -> None:
    assert SomePredictions.load(path, ("predicted",)) is None
    saved = replace(made_up(200), groups=None)
    saved.save(path)
    some = SomePredictions.load(path, ("predicted", "groups"))
    assert some is not None
    assert (some.order, some.groups, some.logits) == (saved.order, None, None)
    assert some.predicted is not None
    assert np.array_equal(some.labels, saved.labels)
    assert np.array_equal(some.predicted, saved.predicted)
    content = bytearray(path.read_bytes())
    at = content.index(b"predicted.npy") + 120
    content[at] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=str(path)):
        SomePredictions.load(path, ("predicted",))
    assert SomePredictions.load(path, ("loss",)) is not None


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_what_is_in_a_file_is_not_executed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    np.savez(path, labels=np.array([Touch(tmp_path / "ran")], dtype=object))
    with pytest.raises(DamagedError, match=str(path)):
        Predictions.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("arrays", [{}, {"format": np.zeros(2)}, {"format": np.asarray(1), "labels": np.zeros(3)}])
def test_other_archives_are_no_predictions(path: Path, arrays: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    with pytest.raises(DamagedError, match=str(path)):
        Predictions.load(path)
    with pytest.raises(DamagedError, match=str(path)):
        SomePredictions.load(path, ("predicted",))


def test_a_later_format_is_not_taken_for_damage(path: Path) -> None:
    path.parent.mkdir(parents=True)
    np.savez(path, format=np.asarray(FORMAT + 1), labels=np.zeros(3))
    with pytest.raises(UserError, match=f"its format is {FORMAT + 1}"):
        Predictions.load(path)
    with pytest.raises(UserError, match=f"its format is {FORMAT + 1}"):
        SomePredictions.load(path, ())


class FullFile(io.FileIO):
    """A file on a disk with space for a few bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_on_a_full_disk_the_old_file_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up().save(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda file, mode: FullFile(file, mode))
        with pytest.raises(OSError, match="No space left") as caught:
            made_up(seed=1).save(path)
    assert caught.value.errno == errno.ENOSPC
    assert same(Predictions.load(path), made_up())
    assert [file.name for file in path.parent.iterdir()] == [path.name]
