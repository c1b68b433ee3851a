"""Ctrl-C: once, a sweep saves what it trains and closes its runs; twice, everything it started ends at once.

SIGTERM is taken like it, and so is a notice (`orchestrator.signals`), which may come any number of times.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

from orchestrator.signals import NOTICES

AT_ONCE = (
    "ended at once: nothing was saved, and runs in MLflow stay open; the same command takes them up, and without it "
    "zetasweep sync or doctor --fix closes them"
)
# A terminal that was stopped takes no line, and must not keep the program.
_TERMINAL_ANSWERS_S = 1.0


class Interruption:
    """Takes SIGINT while it is used as a context manager.

    Attributes:
        requested: Whether it came.
    """

    def __init__(self) -> None:
        self._heeded = False
        self._insisted = 0
        self.requested = False

    def __enter__(self) -> Interruption:
        # Kept: a sweep sends its errors to its log.
        self._terminal = os.dup(2)
        self._before = signal.signal(signal.SIGINT, self._on_sigint)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        os.close(self._terminal)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """While it lasts, somebody looks at `requested`; outside, the first SIGINT raises KeyboardInterrupt."""
        self._heeded = True
        try:
            yield
        finally:
            self._heeded = False

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        self._insisted += number not in NOTICES
        if self._insisted > 1:
            end_at_once(self._terminal)
        if self.requested:
            return
        self.requested = True
        if not self._heeded:
            raise KeyboardInterrupt


def end_at_once(terminal: int) -> None:
    """End this process and all that it started, as they stand, and say so.

    Args:
        terminal: The file descriptor of what the user sees.
    """
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    # By the system, and in a thread: whoever was interrupted may hold the locks of Python's files.
    words = threading.Thread(target=_say, args=(terminal, f"\n{AT_ONCE}\n"), daemon=True)
    words.start()
    words.join(_TERMINAL_ANSWERS_S)
    # As a shell reports a process that SIGINT has ended.
    os._exit(128 + signal.SIGINT)


def _say(terminal: int, text: str) -> None:
    with suppress(OSError):
        os.write(terminal, text.encode())
