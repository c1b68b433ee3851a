"""Figures with their spread and their origin. It needs nothing but NumPy, so that every host can use it."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("zetasweep", "numpy", "scipy", "torch", "torchvision", "triton", "timm", "ray", "mlflow")


@dataclass(frozen=True)
class Spread:
    """What a list of measurements says.

    Attributes:
        median: 50 % quantile.
        low: 20 % quantile.
        high: 80 % quantile.
        count: Number of measurements.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise `values`; linear interpolation between neighbours."""
        low, median, high = np.quantile(values, [0.2, 0.5, 0.8])
        return cls(median=float(median), low=float(low), high=float(high), count=len(values))


def origin() -> dict[str, Any]:
    """Return where figures come from: command, commit, versions and the machine."""
    return {
        "command": shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        "commit": _git_commit(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        # Other programs' share of the machine: far from 0, the figures say little.
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **_versions(),
    }


def show(title: str, rows: Mapping[str, Spread], *, digits: int, notes: Sequence[str]) -> None:
    """Print one line per row: median, 20 % and 80 % quantile, number of measurements; below them the notes."""
    width = max(map(len, rows))
    print(title, f"{'':{width}}{'median':>12}{'20 %':>12}{'80 %':>12}{'n':>6}", sep="\n")
    for name, spread in rows.items():
        figures = (f"{figure:>12,.{digits}f}" for figure in (spread.median, spread.low, spread.high))
        print(f"{name:{width}}", *figures, f"{spread.count:>6}", sep="")
    print(*notes, sep="\n", flush=True)


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(text, file=sys.stderr, flush=True)


def write_json(path: Path, *, source: Mapping[str, Any], **figures: Any) -> None:
    """Write `figures` and their `source` to `path`, making its folder; a `Spread` becomes an object."""
    content = {"source": source, **figures}
    # Minutes of measuring must not end with a folder that is missing.
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole at any moment: a benchmark may be ended after any figure.
    written = path.with_name(f"{path.name}.part")
    written.write_text(json.dumps(content, indent=2, default=asdict) + "\n", encoding="utf-8")
    written.replace(path)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git_commit() -> str:
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
