"""The notice that a worker's process is about to be ended, e.g. by a scheduler: SIGTERM, some time before SIGKILL.

Ray's workers end at once when they get it. One that trains shall write a checkpoint first: it asks `noticed` between
two steps.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_noticed = threading.Event()
_busy = threading.Event()


def watch() -> None:
    """Take the notice from now on. Only a process's main thread may call it."""
    before = signal.getsignal(signal.SIGTERM)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        if _busy.is_set() and not _noticed.is_set():
            _noticed.set()
        elif callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, on_sigterm)


def noticed() -> bool:
    """Return whether this process is about to be ended."""
    return _noticed.is_set()


@contextmanager
def busy() -> Iterator[None]:
    """While it lasts, this process looks out for the notice; outside, SIGTERM ends it as before."""
    _busy.set()
    try:
        yield
    finally:
        _busy.clear()
