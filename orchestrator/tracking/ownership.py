"""Leases: which driver, the process that runs a sweep, works on which of MLflow's runs, so that no two do.

A driver takes a lease on a run by writing its name into the tag `OWNER`, and keeps its leases by a heartbeat, which
changes the tag `HEARTBEAT` of its sweep's run. A lease ends when the driver gives it up, when its process is gone, as
far as that can be seen from here, or when its heartbeat has not changed for `STALE_S` of another's looking
(`orchestrator.tracking.drivers`). The driver itself makes sure of it again when half of that has passed.

The lock of a storage folder keeps two drivers apart on one file system; a lease does for all that share a store.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

BEAT_EVERY_S = 20.0
# A driver of another machine counts as dead when its heartbeat has not been seen to change for so long.
STALE_S = 120.0

logger = logging.getLogger(__name__)


def this_process() -> str:
    """Return the name of this process as an owner: ``host:place:pid:start``.

    The place, eight hexadecimal digits, tells apart what shares a host's name and counts processes for itself:
    containers, two machines, the same one after it was started anew. The start, in seconds since 1970, hexadecimal,
    tells apart processes with one id.
    """
    return f"{socket.gethostname()}:{_place()}:{os.getpid()}:{_start_of(os.getpid()):08x}"


def is_alive_here(owner: str) -> bool | None:
    """Return whether an owner is a process of this machine that lives; None if that cannot be seen from here."""
    here = f"{socket.gethostname()}:{_place()}:"
    if not owner.startswith(here):
        return None
    pid, start = owner.removeprefix(here).split(":")
    found = _start_of(int(pid))
    if found in (0, int(start, 16)):
        return found != 0
    return None  # another process with its id, or the machine's clock was set since


def was_recent(heartbeat: str) -> bool:
    """Return whether a heartbeat looks young. Only to show something: it comes from another machine's clock."""
    return time.time() - int(heartbeat or 0) / 1000 < STALE_S


def lasting_clock() -> float:
    """Return seconds from some origin: never set, and on Linux counted while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def described(owner: str) -> str:
    """Return an owner for people."""
    host, *_, pid, _ = owner.split(":")
    return f"process {pid} on {host}"


@contextmanager
def heartbeats(give: Callable[[], None]) -> Iterator[None]:
    """Call `give` every `BEAT_EVERY_S`, from a thread of its own: whatever else the driver does may take minutes."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_EVERY_S):
            try:
                give()
            except Exception:
                # Whatever it is, the next write meets it, too.
                logger.exception("MLflow did not take a heartbeat")

    # Not waited for at the end: it may be waiting for a server, and a heartbeat more does no harm.
    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@cache
def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return hashlib.sha256(f"{boot}{Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:8]
    except OSError:
        return "0"  # no Linux: the name must do


def _start_of(pid: int) -> int:
    """Return when a process of this machine started, in seconds; 0 if there is none."""
    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0
