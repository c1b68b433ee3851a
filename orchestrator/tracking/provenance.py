"""Where results come from: the versions they were made with, and the commits."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from orchestrator.machine import num_cores
from orchestrator.plugins import packages_of, plugins_in_use
from orchestrator.shadows import PRODUCT
from orchestrator.tracking.names import GIT_COMMIT, ZETASWEEP_COMMIT

PACKAGES = ("zetasweep", "torch", "torchvision", "triton", "ray", "mlflow", "numpy", "torchmetrics", "timm")


def environment() -> dict[str, Any]:
    """Return what the driver runs on: Python, platform and packages, those that plug-ins in use import among them."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": num_cores(),
        "packages": {**_versions(), **packages_of(plugins_in_use())},
    }


@cache
def git_tags() -> dict[str, str]:
    """Return the commit of the current folder as MLflow's tag; nothing outside a git checkout."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {GIT_COMMIT: answer.stdout.strip()}


@cache
def product_tags() -> dict[str, str]:
    """Return the commit of zetasweep itself as a tag, with ``-dirty`` if its files were changed; nothing if installed.

    Not that of the folder of the command, nor of a checkout that it is installed somewhere below.
    """
    top = _git("rev-parse", "--show-toplevel")
    commit = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    is_checkout = top is not None and Path(top).resolve() == PRODUCT
    return {ZETASWEEP_COMMIT: commit} if is_checkout and commit else {}


def product_version() -> str:
    """Return what tells this code from other code of zetasweep: the commit as in `product_tags`, else the version."""
    return product_tags().get(ZETASWEEP_COMMIT) or version("zetasweep")


def _git(*arguments: str) -> str | None:
    """Return what git says in the folder of zetasweep's packages; None if it refuses."""
    try:
        command = ["git", "-C", str(PRODUCT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES if _installed(name)}


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
