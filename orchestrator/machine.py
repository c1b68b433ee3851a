"""What this machine has for this process: cores and memory, as far as a container or a batch system lets it have them.

Linux limits both by control groups: that of the process and each above it. Version 2 has all limits in one hierarchy,
version 1 a hierarchy for each kind, and a machine may have both at once. Formats: https://docs.kernel.org/admin-guide/
cgroup-v2.html and .../cgroup-v1/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from orchestrator.environment import MPS_FOLDER

# Where a process finds which groups it is in, and where they are mounted.
_PROC = Path("/proc/self")


def num_cores() -> int:
    """Return the number of cores that this process may use: by its affinity, and whole ones of its quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *cpu_quotas()])))


def free_memory_bytes() -> int:
    """Return what this process can get without swapping: Linux counts what it would give up, e.g. cached files."""
    return max(0, min([int(psutil.virtual_memory().available), *free_below_limits()]))


def mps_runs() -> bool:
    """Return whether NVIDIA's MPS runs here, by which processes that share a GPU compute at the same time."""
    return (Path(os.environ.get(MPS_FOLDER) or "/tmp/nvidia-mps") / "control").exists()


def cpu_quotas(proc: Path = _PROC) -> Iterator[float]:
    """Yield how many cores each control group of this process may fill at a time, where it has a quota."""
    for folder in _groups("cpu", proc):
        quota = _words(folder / "cpu.max")
        quota = quota or [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
        # "max 100000", or a quota of -1: there is none.
        if len(quota) == 2 and quota[0].isdecimal() and int(quota[1]) > 0:
            yield int(quota[0]) / int(quota[1])


def free_below_limits(proc: Path = _PROC) -> Iterator[int]:
    """Yield how many bytes more each control group of this process may take, where it has a limit."""
    for folder in _groups("memory", proc):
        limit = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        used = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
        if limit and used and limit[0].isdecimal():
            stat = _words(folder / "memory.stat")
            counts = dict(zip(stat[::2], stat[1::2], strict=True))
            # Cached files that were not used of late are given up first.
            yield int(limit[0]) - int(used[0]) + int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))


def _groups(controller: str, proc: Path) -> Iterator[Path]:
    """Yield the folders of the control groups of this process that may limit this, from the innermost to the root.

    A hierarchy may be mounted more than once, and a part of it that is another's, too: what shows this process counts.
    """
    mounted = list(_mounts(proc))
    for line in _lines(proc / "cgroup"):
        _, controllers, path = line.split(":", 2)
        # Version 2 has one line, without controllers.
        name = controller if controller in controllers.split(",") else controllers
        if name in (controller, ""):
            mounts = [(root, mount) for named, root, mount in mounted if named == name]
            # In a container the path may be the host's, while what is mounted begins at its own group.
            showing = [(root, mount) for root, mount in mounts if Path(path).is_relative_to(root)]
            folders = [(mount / Path(path).relative_to(root), mount) for root, mount in showing]
            for folder, mount in folders or [(mount, mount) for _, mount in mounts]:
                yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(mount)))


def _mounts(proc: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield a controller of each mounted hierarchy, none for version 2, and which group is mounted where."""
    for line in _lines(proc / "mountinfo"):
        about, _, kind = line.partition(" - ")
        fields, (filesystem, _, options, *_) = about.split(), [*kind.split(), "", "", ""]
        names = {"cgroup": options.split(","), "cgroup2": [""]}.get(filesystem, [])
        yield from ((name, Path(fields[3]), Path(fields[4])) for name in names)


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    """Return the lines of a file; none where there is no such file, as outside of Linux."""
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
