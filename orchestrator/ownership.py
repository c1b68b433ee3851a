"""Who is at work: every driver signs the runs that it opens, and gives a sign of life in its sweep's run.

The lock of a storage folder keeps two sweeps apart on one file system; this does for all that share an MLflow store.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import psutil

OWNER, HEARTBEAT = "zetasweep.owner", "zetasweep.heartbeat_ms"
BEAT_EVERY_S = 20.0
# So long after its last sign a driver of another machine counts as dead.
STALE_S = 120.0


def this_process() -> str:
    """Return this process as an owner: ``host:pid:start``, the start so that a later process with the same id differs.

    The start is in seconds since 1970, hexadecimal.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{_start_of(os.getpid()):08x}"


def is_alive(tags: Mapping[str, str]) -> bool:
    """Return whether the owner of a sweep's run is at work.

    Args:
        tags: Of the run.
    """
    owner = tags.get(OWNER, "")
    if not owner:
        return False
    host, pid, start = owner.rsplit(":", 2)
    if host == socket.gethostname():
        return _start_of(int(pid)) == int(start, 16)
    return time.time() - int(tags.get(HEARTBEAT) or 0) / 1000 < STALE_S


def described(owner: str) -> str:
    """Return an owner for people."""
    host, pid, _ = owner.rsplit(":", 2)
    return f"process {pid} on {host}"


def now_ms() -> str:
    """Return the value of a sign of life."""
    return str(time.time_ns() // 1_000_000)


def _start_of(pid: int) -> int:
    """Return when a process of this machine started, in seconds; 0 if there is none."""
    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0
