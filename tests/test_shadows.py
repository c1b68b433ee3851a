"""The user's own modules beside zetasweep: in the folder where the command is called, and on PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

from orchestrator.shadows import shadows

# Whatever is imported from where the user stands says so, and ends the program.
TAKEN = "raise RuntimeError('the user\\'s own')\n"
EXPERIMENT = "{name: mine, dataset: digits, model: convnet, augment: erm, train: {epochs: 1}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules of the user's that are named like others."""
    for name in ("random", "yaml", "statistics", "queue"):
        (tmp_path / f"{name}.py").write_text(TAKEN)
    for name in ("augment", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(TAKEN)
    (tmp_path / "mine.yaml").write_text(EXPERIMENT)
    return tmp_path


def python(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", [["orchestrator", "plan"], ["orchestrator.train", "--cell", "none"]])
def test_the_folder_of_the_command_comes_last(folder: Path, environment: dict[str, str], module: list[str]) -> None:
    done = python(folder, environment, "-m", *module, "mine.yaml")
    assert "the user's own" not in done.stderr
    # plan is done, and there is no such cell.
    assert done.returncode == (0 if module[-1] == "plan" else 2), done.stderr


def test_processes_that_are_started_do_not_look_there(folder: Path, environment: dict[str, str]) -> None:
    code = """
import multiprocessing, sys
sys.path.pop(0)
from orchestrator.environment import prepare_program
prepare_program()
import multiprocessing.forkserver
# As decoding does it; what cannot be imported there ends the server of processes.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["random", "augment.contract"])
process = context.Process(target=print, args=("it runs",))
process.start()
process.join()
"""
    done = python(folder, environment | {"PYTHONPATH": str(ROOT)}, "-c", code)
    assert done.stdout == "it runs\n", done.stderr


def test_what_the_path_has_first_is_named_instead_of_a_traceback(folder: Path, environment: dict[str, str]) -> None:
    (folder / "yaml.py").write_text("")
    for name in ("random.py", "statistics.py", "queue.py"):
        (folder / name).unlink()
    done = python(ROOT, environment | {"PYTHONPATH": str(folder)}, "-m", "orchestrator", "plan", f"{folder}/mine.yaml")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"  yaml: {folder / 'yaml.py'} hides " in done.stderr
    assert "  remedy:  rename it" in done.stderr


FAULT_OF_OURS = """
import sys
from orchestrator.cli import main
def fail(**_): raise KeyError("six hours into a sweep")
main.cli.main = fail
sys.argv = ["zetasweep"]
main.main()
"""


def test_a_fault_of_ours_is_not_blamed_on_what_is_hidden(tmp_path: Path, environment: dict[str, str]) -> None:
    """Module systems set PYTHONPATH for everybody."""
    (tmp_path / "yaml.py").touch()
    done = python(ROOT, environment | {"PYTHONPATH": str(tmp_path)}, "-c", FAULT_OF_OURS)
    assert done.returncode == 1
    assert "KeyError: 'six hours into a sweep'" in done.stderr
    assert "in fail" in done.stderr
    assert done.stderr.index("Perhaps it is of a module") > done.stderr.index("KeyError")


def test_only_what_would_be_imported_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("random.py", "time.py", "mine.py", "orchestrator/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "torch").mkdir()  # no module without __init__.py, where there is another
    monkeypatch.syspath_prepend(tmp_path)
    found = list(shadows())
    assert [shadow.name for shadow in found] == ["orchestrator", "random"]
    assert found[0].hidden == str(ROOT / "orchestrator" / "__init__.py")
    assert os.path.basename(found[1].hidden) == "random.py"


def test_usually_nothing_is_hidden(tmp_path: Path, environment: dict[str, str]) -> None:
    code = "from orchestrator.shadows import shadows; print(list(shadows()))"
    assert python(tmp_path, environment | {"PYTHONPATH": str(ROOT)}, "-P", "-c", code).stdout == "[]\n"
