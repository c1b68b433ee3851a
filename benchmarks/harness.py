"""What the benchmarks of whole sweeps share: a sweep in a temporary folder.

Nothing stays behind: results, Ray's session files and Ray's token live in one temporary folder.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

# A user who has set one of them has a token already.
TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder that also holds what Ray writes, until the end.

    Raises:
        SystemExit: ``RAY_ADDRESS`` or ``MLFLOW_TRACKING_URI`` is set: what is measured would run elsewhere.
    """
    for variable in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        if os.environ.get(variable) and (variable, os.environ[variable]) != ("RAY_ADDRESS", "local"):
            sys.exit(f"error: {variable} is set, but the benchmark measures this machine: unset it")
    # By default it would end the process at once, with the folder left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Ray puts Unix sockets there, whose paths may have 107 bytes: a long TMPDIR would not do.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Ray reads it once, when it is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ["RAY_TMPDIR"] = os.environ["TMPDIR"] = tempfile.tempdir = name
        if not any(variable in os.environ for variable in TOKEN_VARIABLES):
            os.environ["HOME"] = name
        yield folder


def run_sweep(experiment: Mapping[str, Any], folder: Path) -> list[Run]:
    """Run ``zetasweep run`` on `experiment` in a process of its own and return the finished MLflow runs of its cells.

    Args:
        experiment: The content of an experiment file, without ``storage``.
        folder: Is made, for the experiment file and the results.

    Returns:
        One run per cell, in the order of their first steps; `client_of` has their store.

    Raises:
        SystemExit: A cell is missing; the sweep's log and output are printed.
    """
    folder.mkdir()
    file, storage = folder / "experiment.yaml", folder / "runs"
    file.write_text(yaml.safe_dump({**experiment, "storage": str(storage)}), encoding="utf-8")
    logs = storage / "logs"
    run_quietly([sys.executable, "-m", "orchestrator", "run", str(file)], logs=logs)
    client = client_of(folder)
    known = client.get_experiment_by_name(experiment["name"])
    assert known is not None, "a sweep that ended well has its experiment"
    finished = "tags.`zetasweep.kind` = 'cell' and attributes.status = 'FINISHED'"
    return sorted(client.search_runs([known.experiment_id], finished), key=first_step_ms)


def client_of(folder: Path) -> MlflowClient:
    """Return the MLflow store of a sweep that `run_sweep` ran in `folder`; no variable says so to the next sweep."""
    return MlflowClient(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")


def run_quietly(command: Sequence[str], *, logs: Path | None = None) -> None:
    """Run `command` and keep its output, unless it fails.

    Raises:
        SystemExit: It did not exit with 0; its output and the files in `logs` are printed.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate()
    finally:
        # After Ctrl-C or a signal: a sweep that is asked to end stops its Ray cluster.
        if process.poll() is None:
            process.terminate()
            process.communicate()
    if process.returncode != 0:
        files = sorted(logs.iterdir()) if logs is not None and logs.is_dir() else []
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
        sys.exit("\n".join([*texts, output, f"error: {shlex.join(command)}: exit code {process.returncode}"]))


def first_step_ms(run: Run) -> int:
    """Return when the cell of `run` took its first step, Unix milliseconds."""
    return int(run.data.tags["zetasweep.first_step_ms"])
