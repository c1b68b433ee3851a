"""A process for work that a long-lived one had better not do itself: what it leaves behind goes with the process.

Nothing heavy is imported here: what the work needs, the side process imports when it is asked for it.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from orchestrator.signals import NOTICES

# Less than any other process: nobody waits for it.
NICENESS = 19
# How long a call may take; one is seconds, on a busy machine a minute.
LIMIT_S = 600.0


def live_with_parent() -> None:
    """Have this process, which `multiprocessing` started, end with its parent, and leave the end to it before that."""
    for number in (signal.SIGINT, *NOTICES):  # who is meant by them is the parent
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=follow, args=(parent.sentinel,), daemon=True).start()


class SideProcess:
    """Calls functions in another process, one at a time; it starts with the first call, and anew after many.

    Args:
        what: It does, in a few words: for messages.
        calls: How many a process is good for.
        limit_s: How long a call may take.
    """

    def __init__(self, what: str, *, calls: int = 100, limit_s: float = LIMIT_S) -> None:
        self._what, self._calls, self._limit_s = what, calls, limit_s
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._num_calls = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns, or raise what it raises; all of it must be such as can be pickled.

        Raises:
            OSError: The process was killed twice, e.g. for want of memory, or it took too long (``ENOMEM``).
        """
        try:
            return self._answer(function, arguments)
        except EOFError:
            # It may have been killed long ago.
            self.end()
        try:
            return self._answer(function, arguments)
        except EOFError:
            code = self.end()
            died = f"the process that {self._what} died (exit code {code}), probably for want of memory"
            raise OSError(errno.ENOMEM, died) from None

    def end(self) -> int | None:
        """End the process, if there is one; return its exit code. The next call starts another."""
        process, self._process = self._process, None
        if process is None:
            return None
        assert self._connection is not None
        self._connection.close()  # it leaves by itself, but not where it hangs
        if process.is_alive():
            process.kill()
        process.join()
        return process.exitcode

    def _answer(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if self._num_calls >= self._calls:
            self.end()
        if self._process is None:
            self._start()
        assert self._connection is not None
        self._num_calls += 1
        try:
            self._connection.send((function, arguments))
        except OSError:
            raise EOFError from None
        if not self._connection.poll(self._limit_s):
            self.end()
            late = f"the process that {self._what} gave no answer for {self._limit_s:g} s"
            raise OSError(errno.ENOMEM, late)
        try:
            result, error = self._connection.recv()
        except OSError:
            raise EOFError from None
        if error is not None:
            raise error
        return result

    def _start(self) -> None:
        # Not forked: neither PyTorch's threads nor those of Ray survive that.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._num_calls = 0


def _serve(connection: Connection) -> None:
    live_with_parent()
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(EOFError, OSError):  # nobody asks any more
        while True:
            answer: tuple[Any, Exception | None]
            function, arguments = connection.recv()
            try:
                answer = function(*arguments), None
            except Exception as error:  # noqa: BLE001 - the caller raises it
                # What is pickled has no traceback.
                error.add_note(traceback.format_exc())
                answer = None, error
            connection.send(answer)
