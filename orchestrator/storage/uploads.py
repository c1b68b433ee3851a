"""Puts objects from a thread of its own, so that nobody waits for a bucket; what is written twice is put once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from orchestrator.objects import ObjectsError

# What fails is left alone for so long.
PAUSE_S = 5.0

logger = logging.getLogger(__name__)


class Uploads:
    """A list of names whose newest content is to be put, in the order in which they came.

    Args:
        put: Puts what a name has now; what is not there any more is no error.
        what: They are, for messages, e.g. ``the journals``.
    """

    def __init__(self, put: Callable[[str], None], *, what: str) -> None:
        self._put, self._what = put, what
        # A dictionary for its order.
        self._waiting: dict[str, None] = {}
        self._under_way: str | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def soon(self, name: str) -> None:
        """Have what `name` has by then put as soon as possible."""
        with self._changed:
            self._waiting[name] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self, name: str) -> None:
        """Do not put `name` any more; returns once it is not being put."""
        with self._changed:
            self._waiting.pop(name, None)
            self._changed.wait_for(lambda: self._under_way != name)
            self._waiting.pop(name, None)

    def flush(self, timeout_s: float) -> list[str]:
        """Wait until all are put, no longer than that; return those that are not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and self._under_way is None, timeout_s)
            return [*filter(None, (self._under_way,)), *self._waiting]

    def abandon(self) -> None:
        """Put nothing any more of what waits."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                name = next(iter(self._waiting))
                self._waiting.pop(name)
                self._under_way = name
            failed = self._tried(name)
            with self._changed:
                self._under_way = None
                if failed:
                    self._waiting.setdefault(name)
                self._changed.notify_all()
            if failed:
                time.sleep(PAUSE_S)

    def _tried(self, name: str) -> bool:
        """Put a name; return whether that failed and is to be tried again. What is wrong is said once."""
        try:
            self._put(name)
        except Exception as error:
            # Whatever it is, this thread goes on: others wait until nothing is being put.
            can_pass = isinstance(error, ObjectsError) and error.can_pass
            if not isinstance(error, OSError):
                logger.exception("%s was not put", name)
            trouble = "wait" if can_pass else "are not kept"
            if trouble != self._trouble:
                why = error.in_one_line if isinstance(error, ObjectsError) else f"{type(error).__name__}: {error}"
                logger.warning("%s %s: %s", self._what, trouble, why)
            self._trouble = trouble
            if not can_pass:
                with self._changed:
                    self._waiting.clear()
            return can_pass
        if self._trouble:
            logger.warning("%s are taken again", self._what)
            self._trouble = ""
        return False
