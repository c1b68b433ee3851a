"""A lock whose holder is seen to be at work: who waits for it can tell a long work from one that hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# How often the holder shows that it is at work, and the others look.
SIGN_EVERY_S = 1.0

OnSignOfLife = Callable[[], None]
"""Is called again and again as long as a work goes on: one's own, or that of another process which one waits for."""


@contextmanager
def held(lock: Path, *, seen_at: Path, sign: OnSignOfLife) -> Iterator[None]:
    """Hold a lock.

    Args:
        lock: Its file.
        seen_at: What the holder touches while it works; it need not be there.
        sign: Is called when that has changed, while another process has the lock.

    Raises:
        OSError: The file cannot be made.
    """
    file_lock, seen = FileLock(lock), 0
    while not _acquired(file_lock):
        with suppress(OSError):
            # Whether it changes, not what it says: that may come from another machine's clock.
            touched = seen_at.stat().st_mtime_ns
            if touched != seen:
                seen = touched
                sign()
    try:
        yield
    finally:
        file_lock.release()


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=SIGN_EVERY_S)
    except Timeout:
        return False
    return True


def showing_at(path: Path, sign: OnSignOfLife) -> OnSignOfLife:
    """Return `sign` for the holder of the lock, which touches `path` as well."""
    touched_at = 0.0

    def show() -> None:
        nonlocal touched_at
        sign()
        if time.monotonic() - touched_at >= SIGN_EVERY_S:
            touched_at = time.monotonic()
            with suppress(OSError):
                os.utime(path)

    return show
