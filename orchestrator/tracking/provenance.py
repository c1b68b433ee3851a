"""Where results come from: the versions they were made with, and the commits."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from orchestrator.machine import num_cores
from orchestrator.plugins import packages_of, plugins_in_use
from orchestrator.product_code import product_commit
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


def product_tags() -> dict[str, str]:
    """Return the commit of zetasweep itself as a tag; nothing if it is installed."""
    commit = product_commit()
    return {ZETASWEEP_COMMIT: commit} if commit else {}


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES if _installed(name)}


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
