"""Copies of objects on this machine: each process has one, which goes with it; that of a killed one goes with the next.

Nobody may remove the copy of a process that lives: what it has written since is nowhere else.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from orchestrator.process_names import is_alive_here, this_process
from orchestrator.storage.atomic import is_young

# Below the folder of a machine's caches.
FOLDER = "storage"
# A copy whose process cannot be seen, e.g. since it is in another container, goes after so long without a write.
QUIET_S = 7 * 24 * 3600.0


def new_copy(copies_in: Path) -> Path:
    """Return where a copy of this process can go, and remove those of processes that are gone; nothing is made."""
    root = copies_in / FOLDER / f"{this_process().replace(':', '-')}-{uuid.uuid4().hex[:8]}"
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # and not a process that was forked from it
            shutil.rmtree(root, ignore_errors=True)

    atexit.register(remove)
    for path in root.parent.glob(f"{socket.gethostname()}-*"):
        # Another process may remove it, too, or it has no name of ours.
        with suppress(OSError, ValueError):
            if _is_left(path):
                shutil.rmtree(path, ignore_errors=True)
    return root


def _is_left(copy: Path) -> bool:
    """Return whether the process of a copy of this host is gone."""
    # A host may have a - in its name.
    *process, _ = copy.name.rsplit("-", 4)
    if len(process) != 4 or process[0] != socket.gethostname():
        return False
    alive = is_alive_here(":".join(process))
    return not (is_young(copy, within_s=QUIET_S) if alive is None else alive)
