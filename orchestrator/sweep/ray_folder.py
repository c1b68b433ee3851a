"""Where Ray keeps its sockets, logs and objects on this machine: looked at before it starts.

Ray takes `ray` below ``RAY_TMPDIR``, ``TMPDIR`` or ``/tmp``. Where that cannot be used it fails, after a minute in some
cases, and does not always say why: the path is too long for a socket, the folder is somebody else's, the disk is full.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.amounts import bytes_text
from orchestrator.errors import NO_ROOM, UserError
from orchestrator.short_paths import LONGEST, SHORT

OBJECT_STORE_BYTES = 128 * 1024**2
# Of logs, while Ray starts.
NEEDED_BYTES = 16 * 1024**2
SHARED_MEMORY = Path("/dev/shm")
_FULL = (*NO_ROOM, errno.EFBIG)


@dataclass(frozen=True)
class RayFolder:
    """What Ray is given.

    Attributes:
        path: Absolute.
        objects: Where its object store is; None for shared memory.
        notes: What is not as Ray would have it, and why.
    """

    path: Path
    objects: Path | None
    notes: tuple[str, ...]

    @property
    def stays(self) -> str:
        """The folder as it is found afterwards, too: a short link to ``TMPDIR`` goes at the end."""
        return os.path.realpath(self.path)


def usable_ray_folder() -> RayFolder:
    """Return a folder that Ray can start in: its own, if that can be used.

    Raises:
        UserError: There is none; says of each that was tried why not.
    """
    refused: dict[Path, OSError] = {}
    for path in _places():
        try:
            _check(path)
        except OSError as error:
            refused[path] = error
            continue
        place = os.path.realpath(path)
        notes = [f"Ray keeps its files in {place}: {_told(refused)}"] if refused else []
        if _holds_objects():
            return RayFolder(path, None, tuple(notes))
        lacking = f"{SHARED_MEMORY} has no {bytes_text(OBJECT_STORE_BYTES)} for them"
        return RayFolder(path, path, (*notes, f"Ray keeps its objects in {place}: {lacking}"))
    raise UserError(
        f"Ray cannot start on this machine, there is no folder for its sockets and logs: {_told(refused)}",
        remedy="\n".join(dict.fromkeys(_remedy(place, error) for place, error in refused.items())),
    )


def _places() -> list[Path]:
    """Return Ray's own place, and others: below one that is not shared with other users, and in /tmp."""
    # As Ray: of Linux alone it takes TMPDIR.
    named = os.environ.get("RAY_TMPDIR") or (sys.platform == "linux" and os.environ.get("TMPDIR")) or SHORT
    tops = dict.fromkeys((Path(named).absolute(), SHORT))
    return [top / name for top in tops for name in ("ray", f"ray-{os.getuid()}/ray")]


def _check(path: Path) -> None:
    """Make a folder if need be; raise OSError if it does not take logs and sockets."""
    own = f"ray-{os.getuid()}"
    top = path.parents[1] if path.parent.name == own else path.parent
    # What it names, since a short link to a folder that is not there yet would be in the way.
    Path(os.path.realpath(top)).mkdir(parents=True, exist_ok=True)
    if path.parent != top:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.parent.is_symlink() or path.parent.stat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "it is somebody else's")
    path.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=path) as file:
        if hasattr(os, "posix_fallocate"):  # it finds a quota, too
            os.posix_fallocate(file.fileno(), 0, NEEDED_BYTES)
    if len(os.fsencode(path)) > LONGEST + len(f"/{own}/ray"):
        raise OSError(errno.ENAMETOOLONG, "too long for a socket, and no short link to it can be made")
    probe = path / f".probe-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(probe))
    probe.unlink()


def _holds_objects() -> bool:
    if sys.platform != "linux":
        return True  # Ray has another place there
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return False
    return free >= OBJECT_STORE_BYTES and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)


def _told(refused: dict[Path, OSError]) -> str:
    return "; ".join(f"{os.path.realpath(place)}: {_reason(error)}" for place, error in refused.items())


def _reason(error: OSError) -> str:
    said = error.strerror or str(error)
    return f"{said}, it needs {bytes_text(NEEDED_BYTES)}" if error.errno in _FULL else said


def _remedy(place: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return f"make room in {os.path.realpath(place.parent)}, or set RAY_TMPDIR to a folder on another disk"
    return "set RAY_TMPDIR to a folder of yours, on a disk of this machine"
