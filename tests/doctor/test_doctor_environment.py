"""Versions that do not suit, and what ``zetasweep run`` would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene import Scene


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tracking.uri=sqlite:////no/such/x.db", "/no/such is no folder"),
        ("resources={workers: 1, gpus_per_worker: 99}", "99 GPUs"),
        ("resources={workers: 40}", "40 workers"),
        ("dataset=cifar10", "cifar10"),
        ("train.batch_size_per_worker=9999", "9999"),
    ],
)
def test_what_run_would_refuse_is_found(scene: Scene, override: str, said: str) -> None:
    answer = scene.doctor("-o", override, "-o", "data_dir=data")
    assert answer.code == 1, answer.out + answer.err
    assert said in answer.out


def test_storage_that_cannot_be_written(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    answer = scene.doctor("-o", "storage=a_file/below")
    assert answer.code == 1
    assert str(tmp_path / "a_file" / "below") in answer.out


def test_versions_that_do_not_suit(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        "Requires-Python: >=4",
        "Requires-Dist: numpy<1",
        "Requires-Dist: nosuchpackage>=2",
        "Requires-Dist: click",
    ]
    info = tmp_path / "installed" / "zetasweep-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", "Name: zetasweep", "Version: 1.0", *needs, ""]))
    monkeypatch.syspath_prepend(info.parent)
    answer = scene.doctor("--fix")
    assert answer.code == 1
    for said in ("install Python >=4", "install numpy <1", "nosuchpackage missing"):
        assert said in answer.out
    assert "install click" not in answer.out


def test_what_hides_another_module(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "statistics.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "mine")
    answer = scene.doctor()
    assert answer.code == 1
    assert f"statistics: {tmp_path / 'mine' / 'statistics.py'} hides " in answer.out
