"""Credentials come from the environment or from files of their own, and are shown to nobody."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from commands import ROOT, Call
from pydantic import BaseModel

from orchestrator.credentials import has_password, is_secret_name, moved_to_environment, take_secrets, without_secrets
from orchestrator.data import DATASETS
from orchestrator.errors import ConfigError, UserError
from orchestrator.experiment.dataset_spec import ColorJitterSpec, DatasetSpec, ResizedCropSpec
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.settings import (
    CacheSettings,
    Experiment,
    General,
    Resources,
    Tracking,
)
from orchestrator.experiment.train_settings import TrainSettings

CANARY = "canary/7Hq=zeta"
LOG_A_FAILURE = """
import logging, os, pathlib, sys
from orchestrator.sweep.output import output_to
token = os.environ["MLFLOW_TRACKING_TOKEN"]
with output_to(pathlib.Path(sys.argv[1])):
    try:
        raise ValueError(f"http://me:{token}@127.0.0.1 said {token}")
    except ValueError:
        logging.getLogger("orchestrator.x").exception("it failed with %s", token)
"""
SMALL = "name: small\ndataset: digits\nmodel: convnet\naugment: erm\n"


def refused(tmp_path: Path, text: str, *overrides: str) -> str:
    """What a user is told of an experiment file; what an error was raised from, which --debug shows, is empty."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, overrides)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ("password: {c}", "password"),
        ("tracking: {{MLFLOW_TRACKING_PASSWORD: {c}}}", "tracking.MLFLOW_TRACKING_PASSWORD"),
        ("tracking: {{uri: null, token: '{c}'}}", "tracking.token"),
        ("tracking: [{{secret: {c}}}]", "tracking[0].secret"),
        ("tracking:\n  - token: !!str {c}", "tracking[0].token"),
        ("resources: {{ray: {{auth_token: {c}}}}}", "resources.ray.auth_token"),
        ("aws: {{AWS_SECRET_ACCESS_KEY: {c}}}", "aws.AWS_SECRET_ACCESS_KEY"),
        ("storage: {{s3: [{{apiKey: {c}}}]}}", "storage.s3[0].apiKey"),
        ("seed: [0, {{credentials: {{user: me, pw: {c}}}}}]", "seed[1].credentials"),
        ("train: &a {{passwd: {c}, again: *a}}", "train.passwd"),
        ("mail: {{SMTP_PASS: {c}}}", "mail.SMTP_PASS"),
        ("mail: {{sshpass: {c}, AZURE_STORAGE_CONNECTION_STRING: x}}", "mail.sshpass"),
        ("train: {{<<: {{db-password: {c}}}}}", "train.db-password"),
        ("dataset: {{digits: {{private_key: {c}}}, mnist: {{}}}}", "dataset.digits.private_key"),
    ],
)
def test_a_key_that_names_a_secret_is_refused_and_its_value_not_shown(tmp_path: Path, extra: str, key: str) -> None:
    name = extra.partition(":")[0]
    kept = "".join(line for line in SMALL.splitlines(keepends=True) if not line.startswith(f"{name}:"))
    said = refused(tmp_path, f"{kept}{extra.format(c=CANARY)}\n")
    assert f"{key}\n  allowed: no credentials" in said
    assert "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, or ~/.mlflow/credentials" in said
    assert "RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token" in said
    assert "PGPASSWORD or ~/.pgpass" in said
    assert CANARY not in said


@pytest.mark.parametrize(
    "override",
    [
        "password={c}",
        "tracking.token={c}",
        "tracking.token=[{c}",
        "tracking={{password: {c}}}",
        "tracking={{password: {c}",
        "tracking.password: {c}",
        "--password {c}",
        "seed.api_key.x={c}",
        "name.x={{secret: '{c}'}}",
        "tracking.uri=postgresql://me:{c}@127.0.0.1/db",
        "tracking.uri=http://{c}@127.0.0.1",
        "tracking.url=http://me:{c}@127.0.0.1",
        "tracking.uri=postgresql://me@127.0.0.1/db?sslpassword={c}",
        "seed[7]=http://me:{c}@127.0.0.1",
        "http://me:{c}@127.0.0.1=[",
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_shown(tmp_path: Path, override: str) -> None:
    said = refused(tmp_path, SMALL, override.format(c=CANARY.replace("/", "")))
    assert "-o" in said
    assert CANARY.replace("/", "") not in said


@pytest.mark.parametrize(
    "text",
    [
        "- password: {c}\n",
        "password={c}\n",
        "password: *{c}\n",
        "password: !{c}\n",
        "tracking: {{token: !!int {c}}}\n",
        "tracking: {{token: {c}\n",
        "token: {c}\ntoken: {c}\n",
    ],
)
def test_a_file_that_cannot_be_read_is_not_quoted_where_it_holds_a_secret(tmp_path: Path, text: str) -> None:
    canary = "canary7Hqzeta"
    said = refused(tmp_path, text.format(c=canary))
    assert canary not in said
    assert "x.yaml" in said


def test_other_mistakes_are_said_beside_a_secret(tmp_path: Path) -> None:
    said = refused(tmp_path, f"{SMALL}modle: x\ntracking: {{password: {CANARY}, experimnt: y}}\n")
    assert "Did you mean model?" in said
    assert "Did you mean experiment?" in said
    assert "tracking.password\n  allowed: no credentials" in said


def test_no_key_of_an_experiment_is_taken_for_a_secret() -> None:
    sections: list[type[BaseModel]] = [
        *(Experiment, General, TrainSettings, Resources, Tracking, CacheSettings),
        *(DatasetSpec, ResizedCropSpec, ColorJitterSpec),
    ]
    names = [name for section in sections for name in section.model_fields] + list(DATASETS)
    assert [name for name in names if is_secret_name(name)] == []


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:pw@host/db",
        "postgresql+psycopg2://me:p@ss/w@host:5432/db",
        "mysql://:pw@host/db",
        "http://me:pw@host:5000",
        "https://token@host",
        "postgresql://host/db?user=me&password=pw",
    ],
)
def test_an_address_with_a_password_is_refused(tmp_path: Path, uri: str) -> None:
    assert has_password(uri)
    said = refused(tmp_path, f"{SMALL}tracking: {{uri: '{uri}'}}\n")
    assert "MLFLOW_TRACKING_URI" in said
    assert "pw" not in said.replace("PGPASSWORD", "")
    assert "ss/w" not in said


@pytest.mark.parametrize(
    "uri",
    [
        "http://host:5000",
        "http://host:5000/a@b",
        "http://[::1]:5000/x",
        "postgresql://me@host:5432/db",
        "sqlite:////home/me:x@work/mlflow.db",
        "file:///data/a:b@c",
        "databricks://profile",
    ],
)
def test_an_address_without_a_password_is_taken(tmp_path: Path, uri: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"{SMALL}tracking: {{uri: '{uri}'}}\n")
    assert load_experiment(path).tracking.uri == uri


def test_secrets_are_taken_out_at_any_depth() -> None:
    shared = {"token": 1, "kept": 2}
    data: dict[str, object] = {"a": [shared, {"b": shared}], "pwd": {"x": 1}, 5: {"x": [{"auth": 3}]}}  # type: ignore[dict-item]
    data["a_cycle"] = data
    assert take_secrets(data) == ["5.x[0].auth", "a[0].token", "pwd"]
    assert shared == {"kept": 2}
    assert "pwd" not in data


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:p@s/s@host/db failed", "postgresql://***@host/db failed"),
        ("GET http://u@h:1/x?token=abc&y=1 'k'", "GET http://***@h:1/x?token=***&y=1 'k'"),
        ("Authorization: Bearer abcdefgh12", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic bWU6aHVudGVyMg=='}", "{'Authorization': 'Basic ***'}"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://h:5000/a@b and x@y", "http://h:5000/a@b and x@y"),
        ("the value is hunter2-hunter2!", "the value is ***!"),
        ("in /somewhere/else", "in /somewhere/else"),
    ],
)
def test_text_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch, text: str, shown: str) -> None:
    monkeypatch.setenv("OTHER_API_KEY", "hunter2-hunter2")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/somewhere/else")
    monkeypatch.setenv("PWD", "/somewhere")
    assert without_secrets(text) == shown


def test_a_log_has_no_secrets_in_its_tracebacks(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    # A process of its own: pytest has its hands on the standard error of this one.
    environment = os.environ | {"MLFLOW_TRACKING_TOKEN": CANARY, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", LOG_A_FAILURE, log], env=environment, check=True, timeout=60)
    assert "it failed with ***" in log.read_text()
    assert "ValueError: http://***@127.0.0.1 said ***" in log.read_text()
    assert CANARY not in log.read_text()


class _Echo(BaseHTTPRequestHandler):
    """Refuses every request, and quotes what it was authorized with, as a careless proxy does."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        header = self.headers.get("Authorization", "")
        self.seen.append(header)
        body = (
            f"you said {header}; {base64.b64decode(header.partition(' ')[2] + '==').decode(errors='replace')}".encode()
        )
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Echo.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "variables",
    [
        {"MLFLOW_TRACKING_URI": "http://me:{c}@{server}", "MLFLOW_TRACKING_TOKEN": "unused"},
        {"MLFLOW_TRACKING_URI": "http://{server}", "MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "{c}"},
        {"MLFLOW_TRACKING_URI": "http://{server}", "MLFLOW_TRACKING_TOKEN": "{c}"},
    ],
    ids=["address", "password", "token"],
)
def test_a_server_gets_the_credentials_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path, server: str, variables: dict[str, str]
) -> None:
    canary = "canary7Hqzeta"
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(c=canary, server=server))
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)
    answer = call("status", path)
    encoded = base64.b64encode(f"me:{canary}".encode()).decode()
    assert _Echo.seen[0] in (f"Basic {encoded}", f"Bearer {canary}")
    assert answer.code == 2
    assert f"MLFLOW_TRACKING_URI = http://{server}" in answer.err
    assert "you said" in answer.err
    for secret in (canary, encoded):
        assert secret not in answer.err + answer.out


def test_the_file_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    assert "MLFLOW_TRACKING_URI" not in call("status", path, "-o", f"tracking.uri=sqlite:///{tmp_path / 'x.db'}").err
    assert f"{tmp_path / 'no'} is no folder" in call("status", path).err
    assert load_experiment(path).tracking.uri is None


def test_a_relative_database_in_the_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    answer = call("status", path)
    assert answer.code == 2
    assert "MLFLOW_TRACKING_URI = sqlite:///mlflow.db: its path is not absolute" in answer.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert call("status", path).code == 1


def test_a_store_is_not_told_to_other_processes(
    monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path, new_store: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SMALL)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    answer = call("status", path, "-o", f"tracking.uri=sqlite:///{new_store}")
    assert "not there yet" not in answer.err
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_password_leaves_the_address_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "another")
    assert moved_to_environment("https://me%40home:p%3A%2Fw@host:5000/path") == "https://host:5000/path"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me@home", "p:/w")
    for uri in ("http://host/a@b", "postgresql://me:pw@host/db", "sqlite:////a@b/c.db"):
        assert moved_to_environment(uri) == uri
    with pytest.raises(UserError, match="no web address") as caught:
        moved_to_environment("https://me:canary[x@host")
    assert "canary" not in str(caught.value)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_TOKEN") as caught:
        moved_to_environment(f"https://{CANARY.replace('/', '')}@host")
    assert "canary" not in str(caught.value)
