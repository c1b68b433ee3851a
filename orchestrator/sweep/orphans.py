"""Workers that nobody waits for: Ray leaves them behind on a node that it has taken for lost and that comes back.

Such a process holds its memory, on a GPU, too, where the next worker of that node needs it.
"""

from __future__ import annotations

import os
import threading
import time

LOOK_EVERY_S = 2.0


def end_with_parent() -> None:
    """Have this process end soon after the one that has started it: of a worker, its node's raylet."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=look, name="orphans", daemon=True).start()
