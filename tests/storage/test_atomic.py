"""Writing whole, and what a writer leaves that is killed."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from orchestrator.storage.atomic import (
    QUIET_S,
    folder_replaced,
    folder_written_whole,
    is_abandoned,
    is_temporary,
    remove_temporaries,
    remove_whole,
    temporary_of,
    written_whole,
)

NO_PROCESS = 4_194_305  # above the largest number of a process


def test_a_file_is_there_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with written_whole(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_there_when_its_block_ends_and_the_first_one_stays(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    for text in ("first", "second"):
        with folder_written_whole(folder) as unfinished:
            (unfinished / "file").write_text(text)
            assert is_temporary(unfinished)
    assert (folder / "file").read_text() == "first"
    assert list(tmp_path.iterdir()) == [folder]


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    def refuse(unfinished: Path) -> None:
        (unfinished / "file").touch()
        raise OSError("full")

    with pytest.raises(OSError, match="full"), folder_written_whole(tmp_path / "audit") as unfinished:
        refuse(unfinished)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "audit").mkdir()
    with pytest.raises(OSError, match="full"), folder_written_whole(tmp_path / "audit") as unfinished:
        refuse(unfinished)


def test_a_folder_is_replaced_as_a_whole_or_stays(tmp_path: Path) -> None:
    folder = tmp_path / "report" / "name"

    def write(text: str, *, error: bool = False) -> None:
        with folder_replaced(folder) as unfinished:
            (unfinished / text).write_text(text)
            assert is_temporary(unfinished.parent)
            if error:
                raise OSError("full")

    for text in ("first", "second"):
        write(text)
        assert [path.name for path in folder.iterdir()] == [text]
    with pytest.raises(OSError, match="full"):
        write("third", error=True)
    assert [path.name for path in folder.iterdir()] == ["second"]
    assert list(folder.parent.iterdir()) == [folder]


def test_only_what_a_writer_left_that_is_gone_is_abandoned(tmp_path: Path) -> None:
    here = socket.gethostname()
    dead, elsewhere = (tmp_path / f".a.pt.{host}.{NO_PROCESS}.tmp" for host in (here, "elsewhere"))
    alive, other = temporary_of(tmp_path / "a.pt"), tmp_path / "a.tmp"
    for path in (dead, elsewhere, alive, other):
        path.touch()
    assert [is_abandoned(path) for path in (dead, elsewhere, alive, other)] == [True, False, False, False]
    long_ago = time.time() - QUIET_S - 60
    for path in (elsewhere, alive, other):
        os.utime(path, (long_ago, long_ago))
    assert [is_abandoned(path) for path in (elsewhere, alive, other)] == [True, True, False]
    remove_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == [other]


def test_files_and_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("folder", "file"):
        remove_whole(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
