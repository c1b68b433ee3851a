"""What a disk refuses is said with the file and what to do; tables of images are no formulas."""

from __future__ import annotations

import csv
import errno
import io
import os
from pathlib import Path

import click
import pytest

from orchestrator.cli import main
from orchestrator.cli.predict import _csv
from orchestrator.exit_codes import INCOMPLETE, WRONG_INPUT
from orchestrator.storage.atomic import folder_replaced, written_whole


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
