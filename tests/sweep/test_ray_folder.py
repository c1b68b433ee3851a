"""Where Ray is to keep its files on machines that are not as it expects: made really, but without Ray."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT
from surroundings import answer, foreign, unprivileged, with_disk, without_home, without_network

LOOKS = """
import json, os
from pathlib import Path
from orchestrator.errors import UserError
from orchestrator.sweep import ray_folder
from orchestrator.sweep.local_start import ready_to_start
from orchestrator.sweep.ray_token import give_token
ray_folder.SHORT = Path(os.environ.get("SHORT", ray_folder.SHORT))
try:
    note = give_token()
    folder = ready_to_start()
    said = {"place": str(folder.path), "notes": [*folder.notes, note], "objects": str(folder.objects)}
    said["token"] = bool(os.environ.get("RAY_AUTH_TOKEN"))
except UserError as error:
    said = {"error": str(error)}
print(json.dumps(said, ensure_ascii=True))
"""


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder with a short path: pytest's own are so long that no socket fits."""
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp") as folder:
        yield Path(folder)


def looks(before: list[str], **variables: str | Path) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TMPDIR"))}
    environment = kept | {"PYTHONPATH": str(ROOT)} | {name: str(value) for name, value in variables.items()}
    said: dict[str, Any] = json.loads(answer([*before, sys.executable, "-c", LOOKS], environment))
    return said


def test_a_folder_that_can_be_used_is_taken_as_it_is(top: Path) -> None:
    said = looks([], RAY_TMPDIR=top, HOME=top)
    assert said["place"] == str(top / "ray")
    assert said["notes"] == [""]
    token = top / ".ray" / "auth_token"
    assert len(token.read_text()) == 64
    assert token.stat().st_mode & 0o077 == 0
    assert token.parent.stat().st_mode & 0o077 == 0


def test_a_folder_of_somebody_else_is_not_taken(top: Path) -> None:
    foreign(top / "ray")
    said = looks(unprivileged(), TMPDIR=top, HOME=top)
    assert said["place"] == str(top / f"ray-{os.getuid()}" / "ray")
    assert (top / f"ray-{os.getuid()}").stat().st_mode & 0o077 == 0
    assert said["notes"][0].startswith(f"Ray keeps its files in {said['place']}: {top / 'ray'}: Permission denied")


def test_where_nothing_may_be_written_ray_goes_to_the_short_one(top: Path) -> None:
    said = looks(unprivileged(), TMPDIR=foreign(top / "tmp"), HOME=top)
    assert said["place"].startswith("/tmp/ray")
    assert f"{top / 'tmp' / 'ray'}: Permission denied" in said["notes"][0]


def test_a_full_disk_is_named_with_what_it_lacks(top: Path) -> None:
    said = looks(with_disk(top, kilobytes=64), TMPDIR=top, HOME="/dev/null/none")
    assert said["place"].startswith("/tmp/ray")
    assert f"{top / 'ray'}: No space left on device, it needs 16.8 MB" in said["notes"][0]


def test_where_all_disks_are_full_it_is_said_of_each(top: Path) -> None:
    said = looks(with_disk(top, kilobytes=64), SHORT=top, HOME="/dev/null/none")
    assert f"{top}/ray: No space left on device, it needs 16.8 MB" in said["error"]
    assert f"make room in {top}, or set RAY_TMPDIR to a folder on another disk" in said["error"]


def test_shared_memory_that_is_too_small_is_passed_over(top: Path) -> None:
    said = looks(with_disk(Path("/dev/shm"), kilobytes=1024, full=False), RAY_TMPDIR=top, HOME=top)
    assert said["objects"] == str(top / "ray")
    assert said["notes"][0] == f"Ray keeps its objects in {top / 'ray'}: /dev/shm has no 134.2 MB for them"


def test_without_loopback_it_is_said(top: Path) -> None:
    assert "ip link set lo up" in looks(without_network(), RAY_TMPDIR=top, HOME=top)["error"]


@pytest.mark.parametrize("why", ["unwritable", "none", "no folder", "empty", "unreadable"])
def test_a_token_needs_no_home(top: Path, why: str) -> None:
    before, home = unprivileged(), top / "home"
    if why == "unwritable":
        foreign(home)
    elif why == "none":
        before = without_home()
    elif why == "no folder":
        home = Path("/dev/null/home")
    else:
        (home / ".ray").mkdir(parents=True)
        (home / ".ray" / "auth_token").write_text("" if why == "empty" else "x" * 32)
        (home / ".ray" / "auth_token").chmod(0o600 if why == "empty" else 0)
    said = looks(before, RAY_TMPDIR=top, HOME=home)
    assert said["token"], said
    assert said["notes"][0].startswith("Ray's token is in no file, this sweep alone knows it: ")


def test_a_file_for_the_token_that_is_not_there_is_refused(top: Path) -> None:
    said = looks([], RAY_TMPDIR=top, HOME=top, RAY_AUTH_TOKEN_PATH=top / "none")
    assert "none: no token can be read there (No such file or directory)" in said["error"]
