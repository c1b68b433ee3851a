"""MLflow's UI on a store that has no server: a process of its own, which this machine alone reaches."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from orchestrator.credentials import without_secrets
from orchestrator.errors import UserError, first_line
from orchestrator.waiting import waiting_for

HOST, FIRST_PORT, NUM_PORTS = "127.0.0.1", 5000, 100
STARTS_WITHIN_S, ENDS_WITHIN_S = 600.0, 10.0
# They could have it listen elsewhere, or under another address.
DROPPED = (
    *("MLFLOW_UVICORN_OPTS", "MLFLOW_GUNICORN_OPTS", "MLFLOW_WAITRESS_OPTS", "MLFLOW_STATIC_PREFIX"),
    *("MLFLOW_ARTIFACTS_ONLY", "MLFLOW_TRACKING_URI"),
)


def port_to_use(wanted: int | None) -> int:
    """Return the port that is wanted, or the first free one from `FIRST_PORT` on.

    Raises:
        UserError: It is taken, or all are.
    """
    for port in range(FIRST_PORT, FIRST_PORT + NUM_PORTS) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return port
    if wanted is not None:
        raise UserError(
            f"--port {wanted}: it is taken, or not allowed", remedy="name another, or none: the first free one is used"
        )
    raise UserError(f"the ports from {FIRST_PORT} to {FIRST_PORT + NUM_PORTS - 1} are taken", remedy="name a --port")


@contextmanager
def served(uri: str, *, port: int, folder: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """Have MLflow's UI run on a store while it lasts; it answers.

    Args:
        uri: Of the store; it is not shown in the list of processes, since it may hold a password.
        port: Where it listens, on loopback.
        folder: Where it runs; None for where this process does.

    Raises:
        UserError: It does not start; says what it says.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    environment = {name: value for name, value in os.environ.items() if name not in DROPPED}
    # Without jobs it has no processes for them.
    environment |= {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C goes to this process alone, which ends all of that one's.
            start_new_session=True,
        )
        try:
            with waiting_for("MLflow's UI to start"):
                _await(process, port, output)
            yield process
        finally:
            _end(process)


def _await(process: subprocess.Popen[bytes], port: int, output: IO[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            output.seek(0)
            said = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
            ended = f"ended with {process.returncode}" if process.returncode is not None else "does not answer"
            what = first_line(without_secrets(said[-1]), at_most=300) if said else "it said nothing"
            raise UserError(f"MLflow's UI at {HOST}:{port} {ended} ({what})", remedy="another --port may do")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    # No proxy is asked for what is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server with all of its processes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_WITHIN_S)
