"""What Ray needs of this machine to start here: looked at beforehand, with a way round where there is one."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.sweep.ray_folder import NEEDED_BYTES, RayFolder, usable_ray_folder
from orchestrator.sweep.ray_token import TOKEN_REMEDY, is_about_token, token_note

_LIMITS = {
    errno.EAGAIN: "raise the number of processes that you may have, see ulimit -u, or the pids limit of the container",
    errno.EMFILE: "raise the number of files that a process may have open, see ulimit -n",
    errno.ENFILE: "raise the number of files that the machine may have open, see sysctl fs.file-max",
    errno.ENOMEM: "free memory, or raise the limit of the container or of ulimit -v",
}
# What Ray's own programs write when they end: `[...] (raylet) ... Check failed: x.ok() REASON`, or as Python does.
_LAST_WORDS = re.compile(r"Check failed: .*|^\w*(?:Error|Exception): .*", re.MULTILINE)


def ready_to_start() -> RayFolder:
    """Return the folder that Ray can use.

    Raises:
        UserError: It cannot start; says why.
    """
    _check_loopback()
    return usable_ray_folder()


def obstacles() -> list[str]:
    """Return what Ray does not find as it would have it, in words.

    Raises:
        UserError: It cannot start; says why.
    """
    return [*ready_to_start().notes, *filter(None, [token_note()])]


def not_started(error: Exception, folder: RayFolder, *, began_at_s: float) -> UserError:
    """Return what is to be said of a start that failed although nothing was found beforehand.

    Args:
        error: What Ray raised.
        folder: What it was given.
        began_at_s: When it was started, Unix seconds: what was logged by earlier ones says nothing of it.
    """
    logs = _logs_since(began_at_s, folder)
    said = str(error).strip() or type(error).__name__
    words = _last_words(logs) if logs is not None else []
    return UserError(
        f"Ray does not start on this machine: {said}" + "".join(f"\n  {line}" for line in words),
        remedy=_remedy(error, folder, logs),
    )


def _check_loopback() -> None:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=10).close()
    except OSError as error:
        raise UserError(
            f"Ray cannot start on this machine: 127.0.0.1, where its processes meet, is not reached ({error.strerror})",
            remedy="bring the loopback interface up, e.g. ip link set lo up, or let the sandbox have it",
        ) from error


def _remedy(error: Exception, folder: RayFolder, logs: Path | None) -> str:
    limit = _LIMITS.get(error.errno or 0) if isinstance(error, OSError) else None
    if limit is not None:
        return limit
    if is_about_token(str(error)):
        return TOKEN_REMEDY
    if shutil.disk_usage(folder.path).free < NEEDED_BYTES:
        return f"make room in {folder.stays}, or set RAY_TMPDIR to a folder on another disk: the disk has become full"
    said = f"; what Ray's own programs said is in {logs}" if logs is not None else ""
    return f"again, when the machine is less busy{said}"


def _logs_since(began_at_s: float, folder: RayFolder) -> Path | None:
    """Return the logs of the session that was begun since then; None if Ray failed before it had one."""
    session = Path(os.path.realpath(Path(folder.stays, "session_latest")))
    try:
        return session / "logs" if session.stat().st_mtime >= began_at_s else None
    except OSError:
        return None


def _last_words(logs: Path) -> list[str]:
    """Return the last thing that each of Ray's programs complained of."""
    found = []
    for log in sorted(logs.glob("*.err")) + sorted(logs.glob("*.out")):
        matches = _LAST_WORDS.findall(log.read_text(encoding="utf-8", errors="replace")[-100_000:])
        found += [f"{log.name}: {matches[-1].strip()[:300]}"] if matches else []
    return found[:5]
