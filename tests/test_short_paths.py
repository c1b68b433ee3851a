"""Temporary folders with a path that holds no socket."""

from __future__ import annotations

import multiprocessing.connection
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.short_paths import LONGEST, needs_link, short_temporary_folders

# So much of a path leaves no room for a socket's.
LONG = "l" * 90


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder with a short path: pytest's own are long."""
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", [LONG, "a b", 'q"u', "it's", "100%", "new\nline", "ä#?=", os.fsdecode(b"\xff")])
@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_an_odd_folder_is_named_by_a_link(top: Path, name: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = top / name
    folder.mkdir()
    monkeypatch.setenv(variable, str(folder))
    with short_temporary_folders():
        link = Path(os.environ[variable])
        assert not needs_link(str(link))
        (link / "file").touch()
    assert os.environ[variable] == str(folder)
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert not os.path.lexists(link.parent)


def test_a_plain_folder_stays(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(top))
    with short_temporary_folders():
        assert os.environ["TMPDIR"] == str(top)


def test_the_longest_that_stays_has_room_for_ray(top: Path) -> None:
    folder = top / ("x" * (LONGEST - len(str(top)) - 1))
    assert not needs_link(str(folder))
    assert needs_link(f"{folder}x")
    session = folder / "ray" / "session_2026-11-29_10-59-03_881325_4194304" / "sockets"
    session.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(session / "plasma_store"))


def test_python_makes_its_sockets_there(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / LONG).mkdir()
    monkeypatch.setenv("TMPDIR", str(top / LONG))
    with short_temporary_folders():
        # As the server of processes that decode images makes it.
        assert tempfile.gettempdir() == os.environ["TMPDIR"]
        with multiprocessing.connection.Listener(str(Path(tempfile.mkdtemp(prefix="pymp-"), "listener-12345678"))):
            pass
