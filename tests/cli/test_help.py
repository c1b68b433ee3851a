"""Each command's help has an example that it takes; neither help nor completion loads what takes seconds."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from commands import ROOT

from orchestrator.cli.completing import NAMES
from orchestrator.cli.lazy import LazyGroup
from orchestrator.cli.main import cli
from tools.reference.completion import names_text

HEAVY = {"torch", "numpy", "pandas", "ray", "mlflow", "pydantic", "rich", "scipy", "yaml"}


def commands(group: LazyGroup, path: str) -> Iterator[tuple[str, click.Command]]:
    """All commands that do something, imported."""
    for name in group.entries:
        command = group.load(name)
        if isinstance(command, LazyGroup):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli, "zetasweep"))


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_each_command_ends_with_examples_that_it_takes(path: str) -> None:
    command = COMMANDS[path]
    _, _, after = (command.epilog or "").partition("\b\nExample")
    calls = [line.strip() for line in after.splitlines()[1:]]
    assert calls
    for call in calls:
        name, *arguments = shlex.split(call.removeprefix(f"{path} "))
        assert call.startswith(f"{path} ")
        # With cli's settings: click keeps the option --help as the first context has it.
        command.make_context(path, [name, *arguments], **cli.context_settings)
        assert call in command.get_help(click.Context(command, info_name=path, **cli.context_settings))


def test_commands_are_described_without_what_takes_seconds() -> None:
    look = (
        "import sys\nfrom orchestrator.cli.main import cli\nfrom orchestrator.cli.data import data\n"
        "for group in (cli, data):\n    for name in group.entries:\n        group.load(name)\n"
        f"print(sorted(sys.modules.keys() & {HEAVY}))"
    )
    answer = subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=True, capture_output=True, text=True)
    assert answer.stdout == "[]\n"


def test_the_names_that_are_offered_are_current() -> None:
    assert NAMES.read_text() == names_text(), "make reference"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("st", ["status", "stop"]),
        ("run ", ["experiments/one.yaml", "experiments/two.yml", "here.yaml"]),
        ("run exp", ["experiments/one.yaml", "experiments/two.yml"]),
        ("run experiments/o", ["experiments/one.yaml"]),
        ("run nowhere", ["nowhere"]),
        ("run here.yaml -o train.optimizer=adam", ["train.optimizer=adam", "train.optimizer=adamw"]),
        ("run here.yaml -o train.epo", ["train.epochs=5"]),
        ("compare here.yaml --metric au", ["auroc"]),
        ("compare here.yaml --metric val/au", ["val/auroc"]),
        ("compare here.yaml --fam", ["--family"]),
        ("plot conf", ["confusion"]),
        ("data cl", ["clear"]),
        ("data clear --dataset cifar", ["cifar10", "cifar100"]),
        ("init --example quick", ["quickstart"]),
        ("list m", ["models", "metrics"]),
    ],
)
def test_a_shell_is_offered_what_fits(
    line: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    for name in ("here.yaml", "notes.txt", ".hidden.yaml", "experiments/one.yaml", "experiments/two.yml"):
        (tmp_path / name).touch()
    *words, incomplete = line.split(" ")
    found = ShellComplete(cli, {}, "zetasweep", "_ZETASWEEP_COMPLETE").get_completions(words, incomplete)
    assert sorted(item.value for item in found) == sorted(offered)
    assert capfd.readouterr() == ("", "")


def test_completion_by_a_shell_loads_nothing(environment: dict[str, str]) -> None:
    asked = {"_ZETASWEEP_COMPLETE": "bash_complete", "COMP_WORDS": "zetasweep compare x.yaml --met", "COMP_CWORD": "3"}
    look = (
        "import sys, contextlib\nfrom orchestrator.cli.main import main\nsys.argv = ['zetasweep']\n"
        f"with contextlib.suppress(SystemExit): main()\nprint(sorted(sys.modules.keys() & {HEAVY}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**environment, **asked, "PYTHONPATH": os.fspath(ROOT)},
    )
    assert answer.stdout == "plain,--metric\n[]\n"
    assert answer.stderr == ""
