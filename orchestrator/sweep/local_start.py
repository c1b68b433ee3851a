"""What Ray needs of this machine to start here: looked at beforehand, with a way round where there is one."""

from __future__ import annotations

import errno
import re
import shutil
import socket
from pathlib import Path

from orchestrator.errors import UserError
from orchestrator.sweep.ray_folder import NEEDED_BYTES, RayFolder, usable_ray_folder
from orchestrator.sweep.ray_token import token_note

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


def not_started(error: Exception, folder: RayFolder) -> UserError:
    """Return what is to be said of a start that failed although nothing was found beforehand."""
    logs = Path(folder.stays, "session_latest", "logs")
    said = str(error).strip() or type(error).__name__
    words = _last_words(logs)
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


def _remedy(error: Exception, folder: RayFolder, logs: Path) -> str:
    limit = _LIMITS.get(error.errno or 0) if isinstance(error, OSError) else None
    if limit is not None:
        return limit
    if shutil.disk_usage(folder.path).free < NEEDED_BYTES:
        return f"make room in {folder.stays}, or set RAY_TMPDIR to a folder on another disk: the disk has become full"
    return f"again, when the machine is less busy; what Ray's own programs said is in {logs}"


def _last_words(logs: Path) -> list[str]:
    """Return the last thing that each of Ray's programs complained of."""
    found = []
    for log in sorted(logs.glob("*.err")) + sorted(logs.glob("*.out")):
        matches = _LAST_WORDS.findall(log.read_text(encoding="utf-8", errors="replace")[-100_000:])
        found += [f"{log.name}: {matches[-1].strip()[:300]}"] if matches else []
    return found[:5]
