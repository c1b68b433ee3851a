"""deploy/docker-compose.yaml: what it says, and that nothing secret stands in it. No Docker daemon."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from importlib.metadata import version
from typing import Any

import pytest
import yaml
from commands import ROOT

FOLDER = ROOT / "deploy"
TEXT = (FOLDER / "docker-compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
SECRETS = {"POSTGRES_PASSWORD", "S3_SECRET_KEY", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY"}


def test_it_is_a_compose_file() -> None:
    found = pytest.importorskip("compose_pydantic", reason="pip install compose-pydantic brings the specification")
    read = found.ComposeSpecification.model_validate(yaml.safe_load(TEXT))
    assert read.services.keys() == SERVICES.keys()


def test_what_is_secret_comes_from_outside_and_its_lack_is_said() -> None:
    asked = re.findall(r"\$\{(\w+):\?write it into \.env\}", TEXT)
    assert set(asked) == {*SECRETS, "MLFLOW_HOST"}
    # Nothing is filled in by a default, and what the shell of a container reads has two dollars.
    assert len(re.findall(r"(?<!\$)\$(?!\$)", TEXT)) == len(asked)
    for name in SECRETS:
        assert f"#        {name}=…" in TEXT


def test_only_mlflow_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["mlflow"]
    command = SERVICES["mlflow"]["command"][-1]
    assert "--app-name basic-auth" in command
    assert "--artifacts-destination s3://mlflow" in command
    assert '--allowed-hosts "$$MLFLOW_HOST,' in command
    # No password in an address: lists of processes would show it.
    assert "postgresql+psycopg2://mlflow@postgres/mlflow" in command


def test_it_waits_for_what_it_needs_and_keeps_what_must_last() -> None:
    for service in SERVICES.values():
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        for needed, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert needed in SERVICES
    mounted = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == yaml.safe_load(TEXT)["volumes"].keys()


@pytest.mark.parametrize("service", ["s3", "mlflow"])
def test_its_scripts_are_valid_shell(service: str) -> None:
    script = (SERVICES[service].get("entrypoint") or SERVICES[service]["command"])[-1].replace("$$", "$")
    checked = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_s3_store_is_told_a_key() -> None:
    script = SERVICES["s3"]["entrypoint"][-1].replace("$$", "$")
    written = script.partition("exec ")[0].replace("/tmp/s3.json", "/dev/stdout")
    variables = {"S3_SECRET_KEY": "abc", "PATH": "/usr/bin:/bin"}
    said = subprocess.run(["sh", "-c", written], env=variables, capture_output=True, text=True, check=True).stdout
    (identity,) = json.loads(said)["identities"]
    assert identity["credentials"] == [{"accessKey": "mlflow", "secretKey": "abc"}]
    assert SERVICES["mlflow"]["environment"]["AWS_ACCESS_KEY_ID"] == "mlflow"


def test_the_image_has_the_locked_mlflow_and_the_files_that_it_copies() -> None:
    text = (FOLDER / "mlflow.Dockerfile").read_text()
    locked = re.search(r"^mlflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    assert f"'mlflow[auth]=={locked[1]}'" in text
    assert version("mlflow") >= locked[1]
    for copied in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (FOLDER / copied).is_file()
    users = configparser.ConfigParser()
    users.read(FOLDER / "mlflow-auth.ini")
    assert "admin_password" not in users["mlflow"]
    assert users["mlflow"]["database_uri"] == "postgresql+psycopg2://mlflow@postgres/mlflow"
