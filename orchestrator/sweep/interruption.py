"""Ctrl-C: once, a sweep saves what it trains and closes its runs; twice, everything it started ends at once.

SIGTERM is taken like it, and so is a notice (`orchestrator.signals`), which may come any number of times.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from orchestrator.signals import NOTICES


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
        self._before = signal.signal(signal.SIGINT, self._on_sigint)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

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
            end_at_once()
        if self.requested:
            return
        self.requested = True
        if not self._heeded:
            raise KeyboardInterrupt


def end_at_once() -> None:
    """End this process and all that it started, as they stand; the next run closes what is open."""
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    # As a shell reports a process that SIGINT has ended.
    os._exit(128 + signal.SIGINT)
