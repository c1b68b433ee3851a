"""A small disk that can be full."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHUNK_BYTES = 4096


class SmallDisk:
    """A file system in memory.

    Args:
        root: Where it is mounted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self) -> None:
        """Take all the space that is left; also what becomes free meanwhile."""
        chunk = bytes(CHUNK_BYTES)
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(chunk)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(root: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of `megabytes` at `root`; skip the test where that is not allowed."""
    root.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system in memory")
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "zetasweep-chaos", str(root)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system in memory can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(root)
    finally:
        # Lazily: this process's MLflow client still has its database there open.
        subprocess.run(["umount", "--lazy", str(root)], check=True)
