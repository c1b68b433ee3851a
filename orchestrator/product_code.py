"""Which code of zetasweep this is: the commit of its checkout, or the one that came with a copy of it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from orchestrator.shadows import PACKAGES, PRODUCT

# In the folder of a copy that a job carries, which is no checkout.
CARRIED_COMMIT = "zetasweep-commit"
# Behind the commit where files were changed.
_DIRTY = "-dirty"
_ALL_PACKAGES = (*PACKAGES, "zetasweep")


@cache
def product_commit() -> str | None:
    """Return the commit, with ``-dirty`` if files were changed; None if it is installed.

    Not that of the folder of the command, nor of a checkout that it is installed somewhere below.
    """
    carried = PRODUCT / CARRIED_COMMIT
    if carried.is_file():
        return carried.read_text(encoding="utf-8").strip() or None
    top = _git("rev-parse", "--show-toplevel")
    commit = _git("describe", "--always", f"--dirty={_DIRTY}", "--abbrev=40", "--exclude=*")
    return commit if commit and top is not None and Path(top).resolve() == PRODUCT else None


@cache
def product_version() -> str:
    """Return what tells this code from other code of zetasweep: the commit, the version, or a hash of its files."""
    if commit := product_commit():
        # One tree that was changed is not another.
        is_told_apart = not commit.endswith(_DIRTY) or (PRODUCT / CARRIED_COMMIT).is_file()
        return commit if is_told_apart else f"{commit}-{_hash_of_files()[:8]}"
    try:
        return version("zetasweep")
    except PackageNotFoundError:  # a copy, as ``ray job submit --working-dir`` makes it
        return f"files-{_hash_of_files()}"


def product_files() -> Iterator[Path]:
    """Yield the files of zetasweep's packages, relative to the folder of all of them, in the order of their names."""
    for package in _ALL_PACKAGES:
        for file in sorted((PRODUCT / package).rglob("*")):
            relative = file.relative_to(PRODUCT)
            # Nothing that an editor or Python itself has left there.
            if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in relative.parts):
                yield relative


def _hash_of_files() -> str:
    digest = hashlib.sha256()
    for file in product_files():
        digest.update(f"{file.as_posix()}\0".encode() + (PRODUCT / file).read_bytes())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str | None:
    """Return what git says in the folder of zetasweep's packages; None if it refuses."""
    try:
        command = ["git", "-C", str(PRODUCT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
