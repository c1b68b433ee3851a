"""The commands, options and arguments that users and their scripts rely on: to change `FROZEN` is to change theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from commands import ROOT

from orchestrator.cli.data import data
from orchestrator.cli.lazy import LazyGroup
from orchestrator.cli.main import cli
from orchestrator.train.__main__ import PROGRAM, train

PLUGIN = {"--plugin": "path, each time one more"}
EXPERIMENT = {"EXPERIMENT": "text, required", "--debug": "flag", "-o --override": "text, each time one more"} | PLUGIN
FOLDERS = {"--cache-dir": "path"}
FROZEN: dict[str, dict[str, str]] = {
    "python -m orchestrator.train": {
        "EXPERIMENT": "path, required",
        "--cell": "text",
        "--checkpoint-dir": "path",
        "--plugin": "path, each time one more",
        "-o --override": "text, each time one more",
    },
    "zetasweep": {"--version": "flag"},
    "zetasweep compare": EXPERIMENT
    | {
        "--metric": "text",
        "--against": "text",
        "--best-of": "text",
        "--family": "column|table",
        "--final": "flag",
        "--confirmed": "flag",
        "--format": "table|markdown|csv|latex|json",
        "--output": "text",
    },
    "zetasweep confirm": EXPERIMENT
    | {"--top": "integer", "--seeds": "integer", "--against": "text, each time one more", "--again": "flag"},
    "zetasweep data": {},
    "zetasweep data check": EXPERIMENT,
    "zetasweep data clear": FOLDERS | {"--dataset": "text"},
    "zetasweep data list": FOLDERS | {"--data-dir": "path"},
    "zetasweep data prepare": EXPERIMENT,
    "zetasweep doctor": EXPERIMENT | {"--fix": "flag"},
    "zetasweep init": {
        "FOLDER": "path, optional",
        "--example": "text",
        "--output": "file",
        "--force": "flag",
        "--debug": "flag",
    },
    "zetasweep jobs": {"--address": "text", "--debug": "flag"},
    "zetasweep list": PLUGIN
    | {"KIND": "choice, required", "--filter": "text", "--format": "table|json = table", "--debug": "flag"},
    "zetasweep logs": {"JOB": "text, required", "--address": "text", "--follow": "flag", "--debug": "flag"},
    "zetasweep plan": EXPERIMENT
    | {"--gpus": "integer range", "--nodes": "flag", "--measure": "flag", "--largest-batch": "flag", "--price": "text"},
    "zetasweep plot": {"KIND": "text, required"} | EXPERIMENT | {"--confirmed": "flag", "--output": "path"},
    "zetasweep predict": {
        "MODEL": "text, required",
        "FILES": "text, required",
        "--experiment": "text",
        "-o --override": "text, each time one more",
        "--format": "table|csv|json",
        "--output": "text",
        "--debug": "flag",
    }
    | PLUGIN,
    "zetasweep report": EXPERIMENT | {"--confirmed": "flag", "--price": "text"},
    "zetasweep run": EXPERIMENT | {"--retry": "flag", "--download": "flag", "--price": "text"},
    "zetasweep select": EXPERIMENT | {"--metric": "text, each time one more", "--register": "text"},
    "zetasweep status": EXPERIMENT | {"--confirmed": "flag"},
    "zetasweep stop": {"JOB": "text, required", "--address": "text", "--debug": "flag"},
    "zetasweep submit": EXPERIMENT
    | {"--address": "text", "--download": "flag", "--retry": "flag", "--price": "text", "--no-wait": "flag"},
    "zetasweep sync": EXPERIMENT,
    "zetasweep ui": EXPERIMENT | {"--confirmed": "flag", "--port": "integer range"},
}


def described(parameter: click.Parameter) -> tuple[str, str]:
    """A parameter's names, and what it takes."""
    if isinstance(parameter, click.Argument):
        assert parameter.name is not None
        return parameter.name.upper(), f"{parameter.type.name}, {'required' if parameter.required else 'optional'}"
    assert isinstance(parameter, click.Option)
    takes = "|".join(parameter.type.choices) if isinstance(parameter.type, click.Choice) else parameter.type.name
    if parameter.is_flag:
        takes = "flag"
    elif parameter.multiple:
        takes += ", each time one more"
    elif isinstance(parameter.default, str):
        takes += f" = {parameter.default}"
    return " ".join(parameter.opts), takes


def commands(command: click.Command, name: str) -> dict[str, dict[str, str]]:
    """All commands below one, imported."""
    found = {name: dict(map(described, command.params))}
    if isinstance(command, LazyGroup):
        for below in command.entries:
            found |= commands(command.load(below), f"{name} {below}")
    return found


def test_commands_and_flags_stay() -> None:
    assert commands(cli, "zetasweep") | commands(train, PROGRAM) == FROZEN


@pytest.mark.parametrize("group", [cli, data], ids=["zetasweep", "zetasweep data"])
def test_the_table_says_what_the_commands_say(group: LazyGroup) -> None:
    for name, entry in group.entries.items():
        command = group.load(name)
        assert command.name == name
        for limit in (45, 1000):
            listed = click.Command(name, help=entry.summary).get_short_help_str(limit)
            assert listed == command.get_short_help_str(limit)


def test_help_imports_no_command() -> None:
    look = (
        "import contextlib, sys\nfrom orchestrator.cli.main import main\nsys.argv[1:] = ['--help']\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "print(sorted(sys.modules.keys() & {'torch', 'ray', 'mlflow', 'rich', 'pydantic'}),"
        " [name for name in sys.modules if name.startswith('orchestrator.cli.')])"
    )
    answer = subprocess.run([sys.executable, "-c", look], check=True, timeout=60, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[] ['orchestrator.cli.lazy', 'orchestrator.cli.main']"


def test_a_mistake_in_the_file_is_said_before_anything_heavy_is_imported() -> None:
    commands = ["plan", "run", "confirm", "sync", "status", "compare", "select", "doctor", "data check", "data prepare"]
    commands += ["report", "ui", "submit --address http://127.0.0.1:9"]
    heavy = {"ray", "mlflow", "torchvision", "torchmetrics", "scipy"}
    look = (
        "import contextlib, sys\nfrom orchestrator.cli.main import main\n"
        f"for command in {commands}:\n"
        "    sys.argv[1:] = [*command.split(), 'absent.yaml']\n"
        "    with contextlib.suppress(SystemExit): main()\n"
        f"    print(command, sorted(sys.modules.keys() & {heavy}))"
    )
    answer = subprocess.run([sys.executable, "-c", look], check=True, timeout=120, capture_output=True, text=True)
    assert len(answer.stdout.splitlines()) == len(commands)
    assert all(line.endswith("[]") for line in answer.stdout.splitlines()), answer.stdout


def test_a_mistake_in_an_option_is_said_before_mlflow_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(f"{{name: small, dataset: digits, model: convnet, augment: erm, storage: {tmp_path / 'runs'}}}")
    wrong = {
        "select --register=": "--register '': no name",
        "select --register=a/b": "--register 'a/b': no name",
        "select --metric=eror": "metric=eror is not tracked",
        "select --metric=error,auroc --register=a": "--register a: 2 metrics choose each for itself",
        "select --metric=test/error": "validation at the tested epoch only",
        "compare --metric=eror": "metric=eror is not tracked",
        "compare --against=cutmix": "--against cutmix: there is no such row",
        "compare --best-of=lr": "--best-of lr: the cells do not differ in it",
        "plan --price=abc": "--price abc: no price",
        "run --price=2.5/gpu-hour": "--price 2.5/gpu-hour: the cells use no GPU",
        "report --price=0/cpu-hour": "--price 0/cpu-hour: no price",
        "compare --output=table.xls": "--output table.xls: its ending says no format",
    }
    look = (
        "import contextlib, sys\nfrom orchestrator.cli.main import main\n"
        f"for command in {list(wrong)}:\n"
        f"    name, *options = command.split()\n    sys.argv[1:] = [name, {str(file)!r}, *options]\n"
        "    with contextlib.suppress(SystemExit): main()\n"
        "print('mlflow' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", look], check=True, timeout=120, capture_output=True, text=True)
    assert answer.stdout == "False\n"
    for said in wrong.values():
        assert said in answer.stderr


# Ends with the first line: nobody waits for what would come after it.
FIRST_LINE = """
import io, os, sys
class Stderr(io.StringIO):
    def write(self, text):
        if not super().write(text):
            return 0
        loaded = sys.modules.keys() & {'torch', 'ray', 'mlflow', 'rich', 'pydantic', 'scipy', 'torchvision'}
        os.write(1, f'{sorted(loaded)} {text}'.encode())
        os._exit(0)
sys.stderr = Stderr()
from orchestrator.cli.main import main
sys.argv[:] = ['zetasweep', *sys.argv[1].split(), 'experiments/quickstart.yaml']
main()
"""


@pytest.mark.parametrize("command", sorted(FROZEN.keys() - {PROGRAM, "zetasweep", "zetasweep data"}))
def test_a_first_line_comes_before_anything_heavy_is_imported(command: str) -> None:
    ask = [sys.executable, "-c", FIRST_LINE, command.removeprefix("zetasweep ")]
    answer = subprocess.run(ask, cwd=ROOT, check=True, timeout=60, capture_output=True, text=True)
    library = "Ray" if command.split()[1] in ("jobs", "logs", "stop") else "PyTorch"
    assert answer.stdout.rstrip() == f"[] {command}: loading {library}, which takes some seconds"


@pytest.mark.parametrize("arguments", [["status", "--help"], ["data", "list", "-h"], ["status"]])
def test_who_asks_for_help_is_told_that_alone(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr("orchestrator.cli.lazy.NEEDED", {"PyTorch": ("torch", "click")})
    monkeypatch.setattr(LazyGroup, "load", lambda _, name: data if name == "data" else click.Command(name))
    cli.main(arguments, prog_name="zetasweep", standalone_mode=False)
    answer = capsys.readouterr()
    assert answer.out.startswith("Usage: ") == (len(arguments) > 1)
    assert ("loading" in answer.err) == (len(arguments) == 1)


def test_a_mistyped_command_is_told_its_neighbours() -> None:
    with pytest.raises(click.UsageError, match="No such command 'stats'"):
        cli.main(["stats"], standalone_mode=False)
