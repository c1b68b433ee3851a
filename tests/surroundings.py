"""Machines as people have them, made really: users without rights or a home, full disks, no network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def unprivileged() -> list[str]:
    """Return what to put before a command so that permissions hold for it, whoever runs the tests."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown", "--inh-caps=-all"]


def without_home() -> list[str]:
    """Return what to put before a command so that its user is in no list and HOME is not set."""
    return [*_possible("unshare", "--user", "--map-user=54321", "--map-group=54321"), "env", "-u", "HOME"]


def without_network() -> list[str]:
    """Return what to put before a command so that it has no loopback."""
    return _possible("unshare", "--user", "--map-root-user", "--net")


def with_disk(folder: Path, *, kilobytes: int, full: bool = True) -> list[str]:
    """Return what to put before a command so that it sees a small disk, full unless told otherwise, at `folder`."""
    mounted = f"mount -t tmpfs -o size={kilobytes}k zetasweep-test {folder}"
    filled = f"{{ cat /dev/zero > {folder}/ballast || true; }} 2>/dev/null" if full else "true"
    return [
        *_possible("unshare", "--user", "--map-root-user", "--mount"),
        "sh",
        "-c",
        f'{mounted} && {filled}; exec "$@"',
        "sh",
    ]


def _possible(*command: str) -> list[str]:
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"not allowed here: {' '.join(command)}: {tried.stderr.strip()}")
    return list(command)


def foreign(folder: Path) -> Path:
    """Make a folder in which nobody may write, as if it were somebody else's; see `unprivileged`."""
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    return folder


def answer(command: Sequence[str], environment: dict[str, str], *, timeout_s: float = 60) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
