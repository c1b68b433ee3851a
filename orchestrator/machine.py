"""What this machine has for this process: cores and memory."""

from __future__ import annotations

import os

import psutil


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int:
    """Return what the machine can give without swapping: Linux counts what it would give up, e.g. cached files."""
    return int(psutil.virtual_memory().available)
