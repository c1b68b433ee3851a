"""What the benchmarks share: a sweep in a temporary folder, and figures that say how they spread and where they are from.

Nothing stays behind: results, Ray's session files and Ray's token live in one temporary folder.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from rich.console import Console
from rich.table import Table

PACKAGES = ("zetasweep", "torch", "torchvision", "ray", "mlflow")
# A user who has set one of them has a token already.
TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


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


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that also holds what Ray writes, until the end.

    Raises:
        SystemExit: ``RAY_ADDRESS`` is set: what is measured would run elsewhere.
    """
    if "RAY_ADDRESS" in os.environ:
        sys.exit("error: RAY_ADDRESS is set, but the benchmark measures this machine: unset it")
    # Ray puts Unix sockets there, whose paths may have 107 bytes: a long TMPDIR would not do.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ["RAY_TMPDIR"] = os.environ["TMPDIR"] = tempfile.tempdir = name
        if not any(variable in os.environ for variable in TOKEN_VARIABLES):
            os.environ["HOME"] = name
        yield folder


def run_sweep(experiment: Mapping[str, Any], folder: Path) -> list[Run]:
    """Run ``zetasweep run`` on `experiment` in a process of its own and return the cells' finished MLflow runs.

    Args:
        experiment: The content of an experiment file, without ``storage``.
        folder: An empty folder for the experiment file and the results; the data set lies below its parent.

    Returns:
        One run per cell, in the order of their first steps.

    Raises:
        SystemExit: A cell is missing; the sweep's output is printed.
    """
    folder.mkdir()
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump({**experiment, "storage": str(folder / "runs")}), encoding="utf-8")
    command = [sys.executable, "-m", "orchestrator", "run", str(file)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        logs = [log.read_text(encoding="utf-8", errors="replace") for log in folder.glob("runs/logs/*.log")]
        output = "".join([*logs, process.stdout, process.stderr])
        sys.exit(f"{output}error: the sweep ended with exit code {process.returncode}")
    uri = f"sqlite:///{folder / 'runs' / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    known = client.get_experiment_by_name(experiment["name"])
    assert known is not None, "a sweep that ended well has its experiment"
    runs = client.search_runs(
        [known.experiment_id], "tags.`zetasweep.kind` = 'cell' and attributes.status = 'FINISHED'"
    )
    return sorted(runs, key=first_step_ms)


def first_step_ms(run: Run) -> int:
    """Return when the cell of `run` took its first step, Unix milliseconds."""
    return int(run.data.tags["zetasweep.first_step_ms"])


def origin() -> dict[str, Any]:
    """Return where figures come from: command, commit, versions and the machine."""
    return {
        "command": shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
        "commit": _git_commit(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def show(title: str, rows: Mapping[str, Spread], *, unit: str, digits: int, notes: Sequence[str]) -> None:
    """Print one line per row: median, 20 % and 80 % quantile, number of measurements; below it the notes."""
    table = Table(title=title, title_justify="left")
    for name in ("", f"median {unit}", "20 %", "80 %", "n"):
        table.add_column(name, justify="left" if not name else "right")
    for name, spread in rows.items():
        figures = (f"{figure:,.{digits}f}" for figure in (spread.median, spread.low, spread.high))
        table.add_row(name, *figures, str(spread.count))
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False)


def write_json(path: Path, *, source: Mapping[str, Any], **figures: Any) -> None:
    """Write `figures` and their `source` to `path`; a `Spread` becomes an object."""
    content = {"source": source, **figures}
    path.write_text(json.dumps(content, indent=2, default=asdict) + "\n", encoding="utf-8")


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
