"""Where Ray is to keep its files on machines that are not as it expects: made really, but without Ray."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT
from surroundings import answer, foreign, unprivileged, with_disk, without_home, without_network

from orchestrator.errors import UserError
from orchestrator.short_paths import short_temporary_folders
from orchestrator.sweep import local_start, ray_folder
from orchestrator.sweep.ray_folder import RayFolder, usable_ray_folder

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


# So much of a path leaves no room for a socket's.
LONG = "l" * 90


@pytest.fixture
def no_ray_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)


@pytest.mark.usefixtures("no_ray_folder")
@pytest.mark.parametrize("taken", [False, True])
def test_a_long_folder_that_is_missing_is_made(top: Path, monkeypatch: pytest.MonkeyPatch, *, taken: bool) -> None:
    """Also where another user has Ray's usual place in it."""
    missing = top / LONG / "not there"
    monkeypatch.setenv("TMPDIR", str(missing))
    with short_temporary_folders():
        if taken:
            missing.mkdir(parents=True)
            (missing / "ray").touch()
        folder = usable_ray_folder()
        expected = missing / f"ray-{os.getuid()}" / "ray" if taken else missing / "ray"
        assert (folder.stays, expected.is_dir()) == (str(expected), True)
    assert list(folder.notes) == ([f"Ray keeps its files in {expected}: {missing}/ray: File exists"] if taken else [])


@pytest.mark.usefixtures("no_ray_folder")
@pytest.mark.parametrize("kind", [errno.EACCES, errno.ENOSPC])
def test_messages_name_the_place_and_not_a_link_to_it(top: Path, kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise OSError(kind, os.strerror(kind))

    monkeypatch.setenv("TMPDIR", str(top / LONG))
    full = shutil.disk_usage("/")._replace(free=0)
    with short_temporary_folders():
        folder = usable_ray_folder()
        monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
        said = [local_start._remedy(OSError(), folder, None), usable_ray_folder().notes[-1]]
        monkeypatch.setattr(ray_folder, "_check", refuse)
        with pytest.raises(UserError) as refused:
            usable_ray_folder()
        link = Path(os.environ["TMPDIR"])
    said += [str(refused.value)] + ([refused.value.remedy] if kind == errno.ENOSPC else [])
    assert [text for text in said if str(top / LONG) not in text or str(link.parent) in text] == []


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


def session(place: Path, name: str, *, made_at_s: float) -> Path:
    """Have Ray's latest session be one whose raylet died at once."""
    logs = place / name / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.err").write_text(f"[E] (raylet) node.cc:1: Check failed: x.ok() of {name}\n")
    os.utime(place / name, (made_at_s, made_at_s))
    (place / "session_latest").unlink(missing_ok=True)
    (place / "session_latest").symlink_to(name)
    return logs


def test_only_what_this_start_logged_is_said_of_it(top: Path) -> None:
    folder = RayFolder(top, None, ())
    nothing = str(local_start.not_started(RuntimeError("no"), folder, began_at_s=100.0))
    session(top, "session_1", made_at_s=99.0)
    assert str(local_start.not_started(RuntimeError("no"), folder, began_at_s=100.0)) == nothing
    logs = session(top, "session_2", made_at_s=101.0)
    said = str(local_start.not_started(RuntimeError("no"), folder, began_at_s=100.0))
    assert "raylet.err: Check failed: x.ok() of session_2" in said
    assert f"what Ray's own programs said is in {logs}" in said


def test_a_token_that_ray_does_not_take_has_its_own_remedy(top: Path) -> None:
    error = RuntimeError("AuthenticationError: RAY_AUTH_TOKEN is whitespace")
    refused = local_start.not_started(error, RayFolder(top, None, ()), began_at_s=0.0)
    assert refused.remedy.startswith("mend the token: Ray takes the first of RAY_AUTH_TOKEN, ")
