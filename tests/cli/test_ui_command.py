"""``zetasweep ui``: MLflow's UI on a store, for this machine alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from commands import ROOT, Call, until
from mlflow import MlflowClient

from orchestrator import tracking
from orchestrator.errors import UserError
from orchestrator.tracking.ui_server import FIRST_PORT, HOST, port_to_use

SMALL = "{{name: small, dataset: digits, model: convnet, augment: erm, storage: {storage}}}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.format(storage=tmp_path / "runs"), encoding="utf-8")
    return path


def test_a_sweep_without_runs_has_nothing_to_show(call: Call, file: Path, new_store: Path) -> None:
    answer = call("ui", file)
    assert answer.code == 2
    assert "zetasweep run makes it" in answer.err
    (file.parent / "runs").mkdir()
    shutil.copyfile(new_store, file.parent / "runs" / "mlflow.db")
    answer = call("ui", file)
    assert answer.code == 2
    assert "has no experiment small" in answer.err


def test_a_port_that_is_taken_is_not_used() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: it is taken"):
            port_to_use(port)
    assert port_to_use(port) == port
    assert port_to_use(None) >= FIRST_PORT


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        (-9, 1, "mlflow.db has ended by itself, with exit code -9\n  remedy:  start it again; -9 says"),
        (KeyboardInterrupt(), 0, ""),  # as SIGTERM and SIGHUP arrive, too
    ],
)
def test_how_it_ends_is_the_exit_code(
    call: Call,
    file: Path,
    new_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: int | KeyboardInterrupt,
    code: int,
    said: str,
) -> None:
    (file.parent / "runs").mkdir()
    shutil.copyfile(new_store, file.parent / "runs" / "mlflow.db")
    MlflowClient(f"sqlite:///{file.parent / 'runs' / 'mlflow.db'}").create_experiment("small")
    server = Mock(**{"wait.side_effect": [ending]})
    monkeypatch.setattr(tracking, "served", lambda *_, **__: nullcontext(server))
    answer = call("ui", file)
    assert answer.code == code, answer.err
    assert said in answer.err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_this_machine_alone_until_it_is_ended(
    file: Path, new_store: Path, environment: dict[str, str], number: int
) -> None:
    (file.parent / "runs").mkdir()
    database = file.parent / "runs" / "mlflow.db"
    shutil.copyfile(new_store, database)
    make = f"from mlflow import MlflowClient; MlflowClient('sqlite:///{database}').create_experiment('small')"
    subprocess.run([sys.executable, "-c", make], check=True, env=environment, timeout=120)
    # A shell has what it starts in the background, as these tests may be, ignore SIGINT.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from orchestrator.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "ui", str(file)]
    wide = environment | {"MLFLOW_UVICORN_OPTS": "--host 0.0.0.0", "MLFLOW_HOST": "0.0.0.0"}
    with (file.parent / "out").open("w+") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=wide, stdout=out, stderr=subprocess.STDOUT)
        try:
            said = (file.parent / "out").read_text
            until(lambda: "Ctrl-C ends it" in said() or process.poll() is not None, timeout_s=200)
            address = re.search(r"its cells: +(http://127\.0\.0\.1:(\d+))/#/experiments/1/runs\?", said())
            assert address is not None, said()
            with urllib.request.urlopen(f"{address[1]}/", timeout=20) as page:
                assert b"MLflow" in page.read()
            family = psutil.Process(process.pid).children(recursive=True)
            heard = {
                each.laddr for one in family for each in one.net_connections() if each.status == psutil.CONN_LISTEN
            }
            assert {place.ip for place in heard} == {HOST}
            assert int(address[2]) in {place.port for place in heard}
        finally:
            os.kill(process.pid, number)
            code = process.wait(60)
    assert code == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
