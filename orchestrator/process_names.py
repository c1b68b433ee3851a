"""Names of processes, by which those of one machine can be told whether they live, and a clock that goes on.

Who holds something writes down its name; who wants it later may not be able to see that process.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from functools import cache
from pathlib import Path

import psutil


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


def lasting_clock() -> float:
    """Return seconds from some origin: never set, and on Linux counted while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def described(owner: str) -> str:
    """Return an owner for people."""
    host, *_, pid, _ = owner.split(":")
    return f"process {pid} on {host}"


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
