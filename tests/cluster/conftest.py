"""What the tests on several hosts share."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bed import Plan, bed
from ray_hosts import QUICK, RAY, MakeHosts, RayHosts


@pytest.fixture
def make_hosts(environment: dict[str, str], tmp_path: Path) -> MakeHosts:
    """Switches hosts on, each with a plan; nothing runs on them."""
    # No word of zetasweep's: on these hosts it finds the Ray that runs there.
    users = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    # What `ray symmetric-run` starts by its name.
    ray = tmp_path / "bin" / "ray"
    ray.parent.mkdir()
    ray.write_text(f'#!/bin/sh\nexec {shlex.join(RAY)} "$@"\n')
    ray.chmod(0o755)
    users |= {"HOME": str(tmp_path), "PATH": f"{ray.parent}:{users['PATH']}"}

    @contextmanager
    def make(**plans: Plan) -> Iterator[RayHosts]:
        with bed(tmp_path, **plans) as hosts:
            yield RayHosts(hosts, users | QUICK, tmp_path)

    return make
