"""Leases: which driver, the process that runs a sweep, works on which of MLflow's runs, so that no two do.

A driver takes a lease on a run by writing its name into the tag `OWNER`, and keeps its leases by a heartbeat, which
changes the tag `HEARTBEAT` of its sweep's run. A lease ends when the driver gives it up, when its process is gone, as
far as that can be seen from here, or when its heartbeat has not changed for `STALE_S` of another's looking
(`orchestrator.tracking.drivers`). The driver itself makes sure of it again when half of that has passed.

The lock of a storage folder keeps two drivers apart on one file system; a lease does for all that share a store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BEAT_EVERY_S = 20.0
# A driver of another machine counts as dead when its heartbeat has not been seen to change for so long.
STALE_S = 120.0

logger = logging.getLogger(__name__)


def was_recent(heartbeat: str) -> bool:
    """Return whether a heartbeat looks young. Only to show something: it comes from another machine's clock."""
    return time.time() - int(heartbeat or 0) / 1000 < STALE_S


@contextmanager
def heartbeats(give: Callable[[], None]) -> Iterator[None]:
    """Call `give` every `BEAT_EVERY_S`, from a thread of its own: whatever else the driver does may take minutes."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_EVERY_S):
            try:
                give()
            except Exception:
                # Whatever it is, the next write meets it, too.
                logger.exception("MLflow did not take a heartbeat")

    # Not waited for at the end: it may be waiting for a server, and a heartbeat more does no harm.
    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
