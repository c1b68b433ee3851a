"""What a container or a batch system lets a process have: control groups of both versions, made up and real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from commands import ROOT

from orchestrator.machine import cpu_quotas, free_below_limits, free_memory_bytes, num_cores

GIB = 2**30
UNLIMITED_V1 = str(2**63 - 4096)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content + "\n")


def version_2(tmp_path: Path, *, root: str = "/", path: str = "/") -> Path:
    mount = tmp_path / "mounted"
    write(
        tmp_path, cgroup=f"0::{path}", mountinfo=f"29 23 0:26 {root} {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
    )
    return mount


def version_1(tmp_path: Path, *, root: str = "/", path: str = "/") -> Path:
    mount = tmp_path / "mounted"
    mounts = [
        f"30 25 0:27 / {mount} ro - tmpfs tmpfs ro,mode=755",
        f"33 30 0:30 {root} {mount}/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct",
        f"36 30 0:33 {root} {mount}/memory rw,nosuid - cgroup cgroup rw,memory",
        f"37 30 0:34 / {mount}/unified rw - cgroup2 cgroup2 rw",
    ]
    groups = f"5:memory:{path}\n4:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::/elsewhere"
    write(tmp_path, cgroup=groups, mountinfo="\n".join(mounts))
    (mount / "unified").mkdir(parents=True)
    return mount


def test_a_quota_and_a_limit_of_version_2(tmp_path: Path) -> None:
    mount = version_2(tmp_path)
    stat = f"anon 5\ninactive_file {GIB}\nactive_file 7"
    write(mount, cpu__max="150000 100000", memory__max=str(8 * GIB), memory__current=str(3 * GIB), memory__stat=stat)
    assert list(cpu_quotas(tmp_path)) == [1.5]
    assert list(free_below_limits(tmp_path)) == [6 * GIB]


def test_the_groups_above_limit_it_too(tmp_path: Path) -> None:
    mount = version_2(tmp_path, path="/job_7/step_0")
    write(mount / "job_7" / "step_0", cpu__max="max 100000", memory__max="max", memory__current="1")
    write(mount / "job_7", cpu__max="200000 50000", memory__max=str(4 * GIB), memory__current=str(GIB))
    write(mount, cpu__max="800000 100000")
    assert list(cpu_quotas(tmp_path)) == [4.0, 8.0]
    assert list(free_below_limits(tmp_path)) == [3 * GIB]


def test_a_quota_and_a_limit_of_version_1(tmp_path: Path) -> None:
    mount = version_1(tmp_path, path="/batch")
    write(mount / "cpu,cpuacct" / "batch", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    write(mount / "cpu,cpuacct", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    stat = f"inactive_file 1\ntotal_inactive_file {GIB}"
    limits = {"memory__limit_in_bytes": str(2 * GIB), "memory__usage_in_bytes": str(2 * GIB), "memory__stat": stat}
    write(mount / "memory" / "batch", **limits)
    write(mount / "memory", memory__limit_in_bytes=UNLIMITED_V1, memory__usage_in_bytes="1")
    assert list(cpu_quotas(tmp_path)) == [1.0]
    assert min(free_below_limits(tmp_path)) == GIB


@pytest.mark.parametrize("version", [version_1, version_2])
def test_in_a_container_the_path_may_be_the_hosts(version: object, tmp_path: Path) -> None:
    assert callable(version)
    mount = version(tmp_path, root="/docker/1f3a", path="/docker/1f3a")
    folder = mount / "cpu,cpuacct" if version is version_1 else mount
    write(folder, cpu__max="300000 100000")
    assert list(cpu_quotas(tmp_path)) == [3.0]
    version(tmp_path / "other", root="/", path="/docker/1f3a")
    assert list(cpu_quotas(tmp_path / "other")) == []


@pytest.mark.parametrize("version", [version_1, version_2])
@pytest.mark.parametrize("root", ["/job/other", "/../..", "/"], ids=["another", "above", "the host"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_another_mount_of_a_hierarchy_hides_no_limit(
    version: Callable[..., Path], root: str, *, first: bool, tmp_path: Path
) -> None:
    """As of docker run -v /sys/fs/cgroup:/host/cgroup, or of one group alone."""
    mount = version(tmp_path, root="/job", path="/job/own")
    own, other = (mount / "cpu,cpuacct" if version is version_1 else mount), tmp_path / "other"
    write(own / "own", cpu__max="300000 100000")
    write(other, cpu__max="100000 100000")
    write(other / "job" / "own", cpu__max="200000 100000")
    kind = "cgroup cgroup rw,cpu,cpuacct" if version is version_1 else "cgroup2 cgroup2 rw"
    mounts = [(tmp_path / "mountinfo").read_text().rstrip(), f"50 30 0:40 {root} {other} rw - {kind}"]
    write(tmp_path, mountinfo="\n".join(reversed(mounts) if first else mounts))
    assert sorted(cpu_quotas(tmp_path)) == ([1.0, 2.0, 3.0] if root == "/" else [3.0])


def test_where_no_mount_shows_the_group_each_may_limit_it(tmp_path: Path) -> None:
    mounts = [f"{number} 23 0:26 /{number} {tmp_path}/{number} rw - cgroup2 cgroup2 rw" for number in (1, 2)]
    write(tmp_path, cgroup="0::/elsewhere", mountinfo="\n".join(mounts))
    for number in (1, 2):
        write(tmp_path / str(number), cpu__max=f"{number}00000 100000")
    assert sorted(cpu_quotas(tmp_path)) == [1.0, 2.0]


def test_where_there_are_no_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert list(cpu_quotas(tmp_path)) == list(free_below_limits(tmp_path)) == []
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
    assert 0 < free_memory_bytes() <= psutil.virtual_memory().total


def _made(group: Path, **files: str) -> bool:
    """Make a group with these limits, if that is possible."""
    try:
        group.mkdir()
    except OSError:
        return False
    try:
        if not (group / "cgroup.procs").exists():
            raise FileNotFoundError
        for name, value in files.items():
            (group / name.replace("__", ".")).write_text(value)
    except OSError:
        shutil.rmtree(group, ignore_errors=True)
        with suppress(OSError):
            group.rmdir()
        return False
    return True


@contextmanager
def real_group(controller: str, **files: str) -> Iterator[Path]:
    """A control group of this machine with these limits; skips the test where none can be made."""
    for parent in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup") / controller):
        group = parent / f"zetasweep-test-{os.getpid()}"
        if _made(group, **files):
            try:
                yield group
            finally:
                group.rmdir()
            return
    pytest.skip("no control group can be made here")


def in_group(group: Path, ask: str) -> int:
    """Return what a process in the group is told."""
    join = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')"
    code = f"{join}\nfrom orchestrator.machine import *\nprint({ask})"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(answer.stdout)


def test_a_real_quota_of_one_core() -> None:
    version_1 = Path("/sys/fs/cgroup/cpu").is_dir()
    limit = {"cpu__cfs_quota_us": "100000"} if version_1 else {"cpu__max": "100000 100000"}
    with real_group("cpu", **limit) as group:
        assert in_group(group, "num_cores()") == 1


def test_a_real_limit_of_memory() -> None:
    version_1 = Path("/sys/fs/cgroup/memory").is_dir()
    limit = {"memory__limit_in_bytes": str(GIB)} if version_1 else {"memory__max": str(GIB)}
    with real_group("memory", **limit) as group:
        assert 0 < in_group(group, "free_memory_bytes()") <= GIB
