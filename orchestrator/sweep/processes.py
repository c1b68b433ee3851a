"""Ending processes of Ray that may not answer any more, on whatever node they are."""

from __future__ import annotations

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# How Ray calls what it starts.
TITLE = "ray::"


def end_process(node_id: str, pid: int) -> None:
    """End a process, also one that is stopped, if it is Ray's; that of another node is not waited for."""
    if node_id == ray.get_runtime_context().get_node_id():
        _end_here(pid)
    else:
        placed = NodeAffinitySchedulingStrategy(node_id, soft=False)
        ray.remote(num_cpus=0)(_end_here).options(scheduling_strategy=placed).remote(pid)


def _end_here(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        # The number may have gone to somebody else's.
        if TITLE in " ".join(process.cmdline()):
            process.kill()
    except psutil.Error:
        return  # it has ended
