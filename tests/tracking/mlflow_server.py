"""A real MLflow server as a lab has it: PostgreSQL, a password, host names that it answers to, a path of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from listening import free_port

ANSWERS_WITHIN_S = 240.0
USER, PASSWORD, PREFIX = "admin", "a-long-password-of-tests", "/mlflow"


@contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL on a socket of its own; yield the address of an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    programs = found[-1].parent
    # It refuses to run as root; sockets have short paths.
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="zs-pg-", dir="/tmp"))
    if as_user:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    command = [*as_user, str(programs / "initdb"), "--auth=trust", "--username=mlflow", "--no-sync", "-D", str(data)]
    subprocess.run(command, cwd="/tmp", check=True, capture_output=True)
    with (folder / "log").open("w") as log:
        command = [*as_user, str(programs / "postgres"), "-D", str(data), "-k", str(folder)]
        server = subprocess.Popen([*command, "-p", str(port), "-h", "127.0.0.1"], cwd="/tmp", stdout=log, stderr=log)
    try:
        ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lab_server(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run a server that asks for a password; yield its address, as it is written in ``tracking.uri``."""
    pytest.importorskip("flask_wtf", reason="pip install 'mlflow[auth]' brings what basic authentication needs")
    port = free_port()
    with postgres() as database:
        users = folder / "auth.ini"
        users.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\nadmin_username = {USER}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        secrets = {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-tests"}
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--workers", "1", "--backend-store-uri", database]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--static-prefix", PREFIX]
        command += ["--allowed-hosts", f"127.0.0.1:{port},mlflow.lab:{port}"]
        with (folder / "server.log").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment | secrets | {"MLFLOW_AUTH_CONFIG_PATH": str(users)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_for(f"http://127.0.0.1:{port}{PREFIX}", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}{PREFIX}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(60)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/health", timeout=10).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
