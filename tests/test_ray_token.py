"""Whether Ray is told to use a token: always where a cluster is started here, else where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.environment import RAY_AUTH_MODE, RAY_FILES, prepare_program
from orchestrator.sweep.cluster_token import auth_mode
from orchestrator.sweep.import_path import product_alone


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_ADDRESS", RAY_AUTH_MODE, "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        # Whatever is set in the test is taken away after it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_cluster_of_its_own_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RAY_AUTH_MODE, "disabled")
    prepare_program()
    assert auth_mode() == "token"


def test_a_cluster_is_joined_without_one_if_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    prepare_program()
    assert auth_mode() == "disabled"


@pytest.mark.parametrize("where", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "home"])
def test_a_cluster_is_joined_with_the_one_that_there_is(
    where: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    file = home / ".ray" / "auth_token" if where == "home" else home / "token"
    file.parent.mkdir(exist_ok=True)
    file.write_text("x" * 32)
    if where != "home":
        monkeypatch.setenv(where, "x" * 32 if where == "RAY_AUTH_TOKEN" else str(file))
    prepare_program()
    assert auth_mode() == "token"


def test_what_the_user_says_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 32)
    monkeypatch.setenv(RAY_AUTH_MODE, "disabled")
    prepare_program()
    assert auth_mode() == "disabled"


def test_a_token_file_that_is_not_there_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "nowhere"))
    prepare_program()
    assert auth_mode() == "disabled"


@pytest.mark.parametrize("name", RAY_FILES)
def test_a_file_is_found_from_the_folder_that_ray_is_started_in(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "mine").mkdir()
    monkeypatch.chdir(home / "mine")
    for given, meant in (("../token", home / "token"), (str(home / "token"), home / "token"), ("", None)):
        monkeypatch.setenv(name, given)
        prepare_program()
        with product_alone():
            found = os.environ[name]
            assert (Path(found).resolve() if found else None) == meant


FIRST = """
import ray
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from orchestrator.environment import prepare_program
from orchestrator.errors import UserError
prepare_program()
from orchestrator.sweep.cluster import check_imported_in_time
try:
    check_imported_in_time()
except UserError as error:
    print(error)
print("token:", is_token_auth_enabled())
"""


@pytest.mark.parametrize("address", ["local", "10.0.0.1:6379"])
def test_ray_that_was_imported_first(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 32)
    said = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True).stdout
    assert said.endswith("token: True\n"), said
    assert ("this process has imported Ray before zetasweep.run" in said) == (address == "local")
