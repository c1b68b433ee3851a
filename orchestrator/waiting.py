"""Waiting is said: whatever takes longer says within ten seconds what it waits for, and again every minute.

It is said by a warning, which `orchestrator.shown_warnings` brings to the user, from whichever process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

# Looked at every second: what is said first after this is said within ten seconds.
FIRST_S, AGAIN_S, LOOK_EVERY_S = 8.0, 60.0, 1.0

logger = logging.getLogger(__name__)


@contextmanager
def waiting_for(what: str, *, since: float | None = None) -> Iterator[None]:
    """Say what the block, or the function that this decorates, waits for, if it takes longer.

    Args:
        what: It.
        since: When the wait began, by `time.monotonic`, where that was before the block: others waited for the same.
    """
    with watched(lambda: f"waiting for {what}", since=since):
        yield


@contextmanager
def counting(task: str) -> Iterator[Callable[[int, int], None]]:
    """Say how far the block is, if it takes longer; it takes how much is done, and of how much."""
    state: str | None = None

    def show(done: int, total: int) -> None:
        nonlocal state
        state = f"{task}: {done} of {total}"

    with watched(lambda: state):
        yield show


@contextmanager
def watched(going_on: Callable[[], str | None], *, since: float | None = None) -> Iterator[None]:
    """Say what is going on while the block lasts.

    Args:
        going_on: Returns it, as it is at the moment, or None. Called every second, from a thread of its own.
        since: See `waiting_for`.
    """
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(going_on, since, ended), name="waiting", daemon=True)
    try:
        watch.start()
        yield
    finally:
        ended.set()
        if watch.is_alive():
            # Not for ever: a terminal that was stopped takes no line.
            watch.join(LOOK_EVERY_S)


def hush() -> None:
    """Have this process say nothing of what it waits for: another, which does the same, says it."""
    logger.disabled = True


def _watch(going_on: Callable[[], str | None], since: float | None, ended: threading.Event) -> None:
    # Each block says something only when it has lasted itself.
    next_s = FIRST_S if since is None else time.monotonic() - since + FIRST_S
    while not ended.is_set():
        try:
            what = going_on()
        except Exception as error:  # noqa: BLE001 - e.g. of a cluster that is gone: that somebody waits is still said
            what = f"waiting for what cannot be found out ({type(error).__name__})"
        if what is None:
            since = None
        elif since is None:
            since, next_s = time.monotonic(), FIRST_S
        elif (waited_s := time.monotonic() - since) >= next_s:
            logger.warning("%s (%s so far)", what, timedelta(seconds=round(waited_s)))
            next_s = waited_s + AGAIN_S
        ended.wait(LOOK_EVERY_S)
