"""Where results come from: the versions they were made with, and the commit."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from orchestrator.machine import num_cores
from orchestrator.tracking.names import GIT_COMMIT

PACKAGES = ("zetasweep", "torch", "torchvision", "triton", "ray", "mlflow", "numpy", "torchmetrics")


@cache
def environment() -> dict[str, Any]:
    """Return what the driver runs on: Python, packages and platform."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": num_cores(),
        "packages": {name: version(name) for name in PACKAGES if _installed(name)},
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


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
