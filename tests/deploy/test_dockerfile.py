"""deploy/Dockerfile: its instructions, and what reaches the image. It is not built here."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from commands import ROOT

FOLDER = ROOT / "deploy"
INSTRUCTIONS = {"FROM", "RUN", "ENV", "COPY", "USER", "WORKDIR"}


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each on one line."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


@pytest.mark.parametrize("name", ["Dockerfile", "mlflow.Dockerfile"])
def test_it_is_made_of_instructions_and_does_not_end_as_root(name: str) -> None:
    found = instructions(FOLDER / name)
    assert found[0][0] == "FROM"
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", found[0][1]), "a version of the base image"
    assert {word for word, _ in found} <= INSTRUCTIONS
    assert [what for word, what in found if word == "USER"][-1] != "root"
    for script in (what for word, what in found if word == "RUN"):
        checked = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "apt-get install" not in script or "--no-install-recommends" in script


def test_what_is_copied_is_there_and_nothing_else_is_let_through() -> None:
    copied = {
        source for word, what in instructions(FOLDER / "Dockerfile") if word == "COPY" for source in what.split()[:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == copied
    assert any(fnmatch("orchestrator/.env", pattern.replace("**/", "*/")) for pattern in patterns[1:])
    # What makes the wheel is among it.
    assert {"pyproject.toml", "setup.py", "augment", "orchestrator", "zetasweep", "experiments"} <= copied


def test_the_locked_versions_are_installed_and_the_same_python() -> None:
    found = dict(reversed(instructions(FOLDER / "Dockerfile")))
    assert found["FROM"].startswith("python:3.11-")
    scripts = [what for word, what in instructions(FOLDER / "Dockerfile") if word == "RUN"]
    assert "pip install --require-hashes --requirement /opt/zetasweep/requirements.lock" in scripts
