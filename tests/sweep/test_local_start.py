"""Ray really starts where people are: with a TMPDIR too long for sockets, without a home, on full disks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT
from surroundings import answer, foreign, unprivileged, with_disk, without_home

STARTS = """
import json
from orchestrator.environment import prepare_program
prepare_program()
import ray
from orchestrator.experiment import Resources
from orchestrator.short_paths import short_temporary_folders
from orchestrator.sweep.cluster import joined_or_started

@ray.remote(num_cpus=0)
def told():
    return 6 * 7

with short_temporary_folders(), joined_or_started(Resources(workers=1)) as placed:
    session = ray._private.worker._global_node.get_session_dir_path()
    print(json.dumps({"answer": ray.get(told.remote(), timeout=200), "said": placed.warning, "session": session}))
"""

Made = tuple[list[str], dict[str, str]]


def long_and_odd(top: Path) -> Made:
    return [], {"TMPDIR": str(top / ("a 'long' \"way\" #?%" + 90 * "l")), "HOME": "/dev/null/none"}


def nothing_may_be_written(top: Path) -> Made:
    return unprivileged(), {"TMPDIR": str(foreign(top / "tmp")), "HOME": str(foreign(top / "home"))}


def in_no_list(_: Path) -> Made:
    return without_home(), {}


def full(top: Path) -> Made:
    (top / "tmp").mkdir()
    return with_disk(top / "tmp", kilobytes=64), {"TMPDIR": str(top / "tmp")}


def no_shared_memory(_: Path) -> Made:
    return with_disk(Path("/dev/shm"), kilobytes=64), {}


def start(made: Made, home: Path) -> dict[str, Any]:
    before, variables = made
    dropped = ("RAY_", "TMPDIR", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environment = kept | {"PYTHONPATH": str(ROOT), "HOME": str(home)} | variables
    said: dict[str, Any] = json.loads(
        answer([*before, sys.executable, "-c", STARTS], environment, timeout_s=280).splitlines()[-1]
    )
    assert said["answer"] == 42
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (long_and_odd, "Ray's token is in no file"),
        (nothing_may_be_written, "tmp/ray: Permission denied"),
        (in_no_list, "Ray's token is in no file"),
        (full, "tmp/ray: No space left on device"),
        (no_shared_memory, "/dev/shm has no 134.2 MB"),
    ],
)
def test_ray_starts_and_it_is_said_what_is_not_as_it_should_be(
    tmp_path: Path, home: Path, make: Callable[[Path], Made], told: str
) -> None:
    assert told in start(make(tmp_path), home)["said"]
