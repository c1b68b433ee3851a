"""What a disk refuses is said with the file and what to do; tables of images are no formulas."""

from __future__ import annotations

import csv
import errno
import io
import os
from pathlib import Path

import click
import pytest
from commands import Call
from finished_sweep import FinishedSweep

from orchestrator.cli import main
from orchestrator.cli.predict import _csv
from orchestrator.errors import SweepError
from orchestrator.exit_codes import INCOMPLETE, WRONG_INPUT
from orchestrator.objects import ObjectsError
from orchestrator.storage.atomic import folder_replaced, written_whole
from orchestrator.storage.folder_objects import FolderObjects
from orchestrator.storage.object_lock import lost
from orchestrator.sweep import run as running
from orchestrator.sweep.started import under_way


@pytest.mark.parametrize(
    ("number", "path", "said", "code"),
    [
        (
            errno.ENOSPC,
            "/full/a.svg",
            "error: /full/a.svg: No space left on device\n  remedy:  free",
            INCOMPLETE,
        ),
        (errno.EROFS, "/read", "error: /read: Read-only file system\n  remedy:  name a folder elsewhere", WRONG_INPUT),
        (errno.ENOENT, "/none/x", "error: /none/x: No such file or directory\n  remedy:  name what is", WRONG_INPUT),
        (errno.EFBIG, "/big", "error: /big: File too large\n  remedy:  raise the limit", WRONG_INPUT),
        (errno.EIO, None, "error: Input/output error\n  remedy:  the disk", INCOMPLETE),
    ],
)
def test_an_error_of_the_disk_has_path_and_remedy(
    number: int,
    path: str | None,
    said: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def fails() -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(main, "cli", fails)
    monkeypatch.setattr("sys.argv", ["zetasweep"])
    assert main._run() == code
    assert capsys.readouterr().err.startswith(said)


def test_what_ends_a_sweep_that_is_under_way_is_no_wrong_input(
    tmp_path: Path, new_store: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is trained, and a bucket is silent while the last table is made."""
    sweep = FinishedSweep(tmp_path, new_store)
    sweep.finish()

    def fail(*_: object, **__: object) -> None:
        raise ObjectsError("storage = s3://a/b: the server does not answer", remedy="start it", can_pass=True)

    monkeypatch.setattr(running, "compared", fail)
    answer = call("run", sweep.file, "-o", f"storage={sweep.storage.root}")
    assert answer.code == INCOMPLETE
    assert "error: storage = s3://a/b: the server does not answer\n  remedy:  start it" in answer.err


def test_who_has_lost_the_storage_is_no_wrong_input() -> None:
    with pytest.raises(SweepError, match="another sweep has taken it over") as caught, under_way():
        raise lost(FolderObjects(Path("somewhere")))
    assert "the same command waits for it, or goes on" in str(caught.value)
    assert main._code_of(caught.value) == INCOMPLETE


def test_a_write_that_fails_says_which_file_it_was(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left") as caught, written_whole(tmp_path / "a.svg"):
        raise full
    assert caught.value.filename == str(tmp_path / "a.svg")
    with pytest.raises(OSError, match="No space left") as caught, folder_replaced(tmp_path / "report") as folder:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "x"))
    assert caught.value.filename == str(tmp_path / "report")
    with pytest.raises(OSError, match="No such file") as caught, written_whole(tmp_path / "a.svg"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")


def test_predictions_for_a_spreadsheet_are_no_formulas() -> None:
    rows = [
        {"file": "=1+1.png", "class": "=1+1", "probability": 0.9, "probabilities": {"=1+1": 0.9, "|": 0.1}},
        {"file": "@SUM(A1).png", "error": "x"},
        {"file": "-", "class": "|", "probability": 0.1, "probabilities": {"=1+1": 0.9, "|": 0.1}},
    ]
    header, first, second, third = csv.reader(io.StringIO(_csv(rows)))
    assert header == ["file", "class", "probability", "probability/=1+1", "probability/|"]
    assert first == ["'=1+1.png", "'=1+1", "0.9", "0.9", "0.1"]
    assert (second[0], third[0]) == ("'@SUM(A1).png", "'-")
