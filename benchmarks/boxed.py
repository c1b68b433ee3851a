"""Commands in boxes of time: what is over its time is ended, with all that it has started. Linux alone, no packages."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TIME_WAS_UP = 124
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Have processes whose parent has ended become this one's, so that `end_all` finds them, also on SIGTERM."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def end(*_: object) -> None:
        end_all()
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def run_boxed(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, *, seconds: float, grace_s: float
) -> tuple[int, str]:
    """Return exit code and output of a command; of one that is over its time, `TIME_WAS_UP` and what it printed.

    Args:
        command: What to run.
        environment: Its variables.
        folder: Where.
        seconds: How long it may take, the grace included.
        grace_s: From being asked to end until it is ended; at most half of the seconds.
    """
    grace_s = min(grace_s, seconds / 2)
    # A file and no pipe: whoever it leaves behind would keep that open.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            code = process.wait(seconds - grace_s)
        except subprocess.TimeoutExpired:
            code = TIME_WAS_UP
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
            process.kill()
        output.seek(0)
        return code, output.read().decode(errors="replace")


def end_all(*, within_s: float = 5.0) -> None:
    """End all processes below this one."""
    deadline = time.monotonic() + within_s
    while (below := _below(os.getpid())) and time.monotonic() < deadline:
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in below:
            # Of those that are this one's own; the others become that.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def _below(pid: int) -> list[int]:
    """Return the processes that one has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # PID (NAME) STATE PARENT ...: a name may hold anything.
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = list(children.get(pid, ()))
    for each in found:
        found += children.get(each, ())
    return found
