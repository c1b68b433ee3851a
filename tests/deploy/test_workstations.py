"""deploy/workstations.md: its units are systemd's, and its commands take the options that they are given."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import mlflow.cli
import pytest
import ray.scripts.scripts
from commands import ROOT

TEXT = (ROOT / "deploy" / "workstations.md").read_text()
UNITS = dict(re.findall(r"`/etc/systemd/system/([\w-]+\.service)`.*?```ini\n(.*?)```", TEXT, re.DOTALL))


def command_of(unit: str) -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*?[^\\])$", UNITS[unit].replace("\\\n", " "), re.MULTILINE)
    return shlex.split(line)


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_there_is_a_unit_for_each_part() -> None:
    assert UNITS.keys() == {"ray-head.service", "ray-node.service", "mlflow.service"}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_read_by_systemd(unit: str, tmp_path: Path) -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.read_string(UNITS[unit].replace("\\\n", " "))
    assert read.sections() == ["Unit", "Service", "Install"]
    assert read["Service"]["Restart"] == "always"
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # A program and a user that are there stand for those that are not.
    text = UNITS[unit].replace(command_of(unit)[0], "/bin/true").replace("User=zs", "User=root")
    (tmp_path / unit).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in said.stderr.splitlines() if unit in line]
    assert complaints == []


@pytest.mark.parametrize("unit", ["ray-head.service", "ray-node.service"])
def test_ray_takes_the_options(unit: str) -> None:
    program, start, *words = command_of(unit)
    assert (Path(program).name, start) == ("ray", "start")
    known = options_of(ray.scripts.scripts.start)
    assert {word.partition("=")[0] for word in words} <= known
    assert "RAY_AUTH_MODE=token" in UNITS[unit]


def test_mlflow_takes_the_options() -> None:
    program, server, *words = command_of("mlflow.service")
    assert (Path(program).name, server) == ("mlflow", "server")
    assert {word for word in words if word.startswith("--")} <= options_of(mlflow.cli.server)


def test_the_nodes_go_to_the_head_by_its_number() -> None:
    head = dict(word.partition("=")[::2] for word in command_of("ray-head.service")[2:])
    node = dict(word.partition("=")[::2] for word in command_of("ray-node.service")[2:])
    assert node["--address"] == f"{head['--node-ip-address']}:{head['--port']}"
