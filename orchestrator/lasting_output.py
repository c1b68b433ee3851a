"""Output whose end ends nobody: a reader that has gone, a closed terminal, a full disk, letters a terminal lacks."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO, cast

from orchestrator.errors import NO_ROOM


class LastingText(io.TextIOWrapper):
    """Text output that never raises an OSError: what nobody reads any more goes to the null device.

    A library that prints, such as rich, ends the program when its reader has gone; here that must end no training, in
    whichever thread.
    """

    def __init__(self, buffer: BinaryIO, *, encoding: str, line_buffering: bool = False) -> None:
        super().__init__(buffer, encoding=encoding, errors="replace", line_buffering=line_buffering)

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Write what waits, or lose it."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def close(self) -> None:
        """Close what lies below, with what still waits lost if there is no room for it."""
        with suppress(OSError):
            super().close()

    def _lose(self, error: OSError) -> None:
        # What is written later may find room.
        if error.errno not in NO_ROOM:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


@contextmanager
def lasting_output() -> Iterator[None]:
    """Have all that this program prints while it lasts go through `LastingText`."""
    before = sys.stdout, sys.stderr
    lasting = [_lasting(stream) for stream in before]
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in lasting:
            if isinstance(stream, LastingText):
                stream.flush()
                stream.detach()  # else it would close what lies below when it goes


def _lasting(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # e.g. of a program that collects what is printed
        return stream
    stream.flush()
    buffer = cast(BinaryIO, stream.buffer)
    return LastingText(buffer, encoding=stream.encoding, line_buffering=stream.line_buffering)
