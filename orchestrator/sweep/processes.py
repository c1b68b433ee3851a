"""Ending processes of Ray that may not answer any more, on whatever node they are."""

from __future__ import annotations

import psutil
import ray

# How Ray calls what it starts.
TITLE = "ray::"


@ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
def end_process(pid: int) -> None:
    """End a process of this node, also one that is stopped, if it is Ray's."""
    try:
        process = psutil.Process(pid)
        # The number may have gone to somebody else's.
        if TITLE in " ".join(process.cmdline()):
            process.kill()
    except psutil.Error:
        return  # it has ended
