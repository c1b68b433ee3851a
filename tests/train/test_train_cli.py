"""A cell from a shell, without Ray and MLflow."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trainings import FEW

import orchestrator.train
from orchestrator import waiting
from orchestrator.metric_names import METRICS
from orchestrator.records import CellResult
from orchestrator.storage import CellFolder
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train import __main__ as train_cli
from orchestrator.train import feed, printed
from orchestrator.train.cell import train_cell
from orchestrator.train.feed import StreamingFeed

ROOT = Path(__file__).parents[2]
EXPERIMENT = f"""
name: tiny
dataset: {{digits: {{num_train: {FEW}}}}}
model: convnet
augment: [erm, mixup]
train: {{epochs: 2, batch_size_per_worker: 16}}
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    file = tmp_path / "tiny.yaml"
    file.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    return file


def call(*arguments: str | Path) -> int:
    return train_cli.main([str(argument) for argument in arguments])


def keys_in(text: str) -> list[str]:
    return re.findall(r"^ +([0-9a-f]{16})  digits", text, flags=re.MULTILINE)


ENDS = """
import atexit

from torch import nn

atexit.register(print, "all is closed", flush=True)


def unused(*, num_classes, num_channels, image_size):
    return nn.Linear(num_channels, num_classes)


MODELS = {"unused": unused}


class Late:
    def __del__(self):
        print("the interpreter is taken down", flush=True)


LATE = Late()
"""


def test_the_interpreter_is_not_taken_down(experiment: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """DDP keeps threads that abort the process while it is; what is registered for the end runs all the same."""
    code = tmp_path / "ends.py"
    code.write_text(ENDS)
    command = [sys.executable, "-m", "orchestrator.train", str(experiment), "--plugin", str(code)]
    for cell, exit_code in (("augment=erm", 0), ("augment=nothing", 2)):
        done = subprocess.run(
            [*command, "-o", cell], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == exit_code, done.stderr
        assert "all is closed" in done.stdout
        assert "taken down" not in done.stdout


def test_torchrun_trains_a_cell(experiment: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    command = [Path(sys.executable).with_name("torchrun"), "--nproc-per-node", "2", "-m", "orchestrator.train"]
    options = [experiment, "-o", "resources.workers=2", "-o", "augment=mixup"]
    done = subprocess.run(
        [str(word) for word in (*command, *options)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs" / "cells").iterdir()
    state = checkpoint.load(folder / "result.pt")
    assert state is not None
    first, *lines = done.stdout.splitlines()
    assert first == f"{folder.name} digits(num_train={FEW}) convnet mixup(alpha=1.0) seed=0: 2 x cpu, fp32, in {folder}"
    for number, (line, entry) in enumerate(zip(lines[:2], state["history"], strict=True), start=1):
        assert line.startswith(f"epoch {number}/2: training loss {entry['metrics']['train/loss']:.4f}, ")
        assert f"validation error {100 * entry['metrics']['val/error']:.2f} %" in line
    assert lines[2].startswith(f"tested with the weights of epoch {state['result']['metrics']['best/epoch']:.0f}")
    metrics = {name: state["result"]["metrics"][name] for name in map("test/{}".format, METRICS)}
    assert [line.split() for line in lines[3:-1]] == [[name, f"{value:.4f}"] for name, value in metrics.items()]
    assert lines[-1].endswith(f": {folder / 'test'}")
    assert {path.name for path in (folder / "test").iterdir()} == {"per_class.csv", "confusion_matrix.csv"}


def test_one_process_trains_goes_on_and_repeats(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(experiment) == 2
    key, other = keys_in(capsys.readouterr().err)
    chosen = (experiment, "--cell", key[:6], "--checkpoint-dir", tmp_path / "mine")
    assert call(*chosen) == 0
    first = capsys.readouterr().out
    assert first.count("\nepoch ") == 2
    left = sorted(file.name for file in (tmp_path / "mine" / key).iterdir())
    assert left == ["audit", "best.pt", "predictions.npz", "result.pt", "test"]
    assert call(*chosen) == 0
    head, said, *shown = capsys.readouterr().out.splitlines()
    assert [head, *shown] == first.splitlines(), "what is finished is shown again and not trained again"
    assert said == "there is a result: it is shown again, and nothing is trained unless it is damaged"
    assert not (tmp_path / "runs").exists()
    assert other != key


def test_a_cell_whose_result_mlflow_has_is_not_trained_again(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(experiment, "-o", "augment=erm") == 0
    (path,) = (tmp_path / "runs" / "cells").iterdir()
    CellFolder(path).shrink()
    kept = CellFolder(path).best.read_bytes()
    capsys.readouterr()
    assert call(experiment, "-o", "augment=erm") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(
        f"error: cell {path.name} is finished: {path} keeps its best weights, and MLflow has"
    )
    assert captured.out == ""
    assert sorted(file.name for file in path.iterdir()) == ["best.pt", "predictions.npz"]
    assert CellFolder(path).best.read_bytes() == kept


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "more than one cell: name one with --cell KEY\n  "),
        (["--cell", "xyz"], "--cell xyz: no cell has such a key\n  "),
        (["--cell", ""], "--cell : the keys of more than one cell begin like this\n  "),
        (["-o", "train.lr=-1"], "train.lr = -1\n"),
        (["-o", "dataset=cifar10", "-o", "augment=erm", "-o", "data_dir=/dev/null"], "cifar-10-batches-py"),
        (["-o", "augment=erm", "-o", "resources.workers=2"], "has 2 workers, but the number of processes started is 1"),
        (["-o", "augment=erm", "-o", "resources.workers=2"], "torchrun --nproc-per-node 2 -m orchestrator.train "),
        (["-o", "augment=erm", "-o", "storage=/dev/null/x"], "/dev/null is not a folder"),
        (["-o", "augment=erm", "--checkpoint-dir", "/dev/null/x"], "--checkpoint-dir = /dev/null/x: /dev/null is not"),
        (["-o", "augment=erm", "--checkpoint-dir", "/dev/null/x"], "name another with --checkpoint-dir PATH"),
    ],
)
def test_wrong_input_is_said_without_a_traceback(
    arguments: list[str], expected: str, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(experiment, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


PROGRAM = [sys.executable, "-m", "orchestrator.train"]


def test_a_training_whose_reader_has_gone_is_finished(
    experiment: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """As after ``| head -1``: the pipe is closed with the first line read."""
    with subprocess.Popen(
        [*PROGRAM, experiment, "-o", "augment=erm"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert " digits" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=280) == 0
    (folder,) = (tmp_path / "runs" / "cells").iterdir()
    assert (folder / "result.pt").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_training_that_is_asked_to_end_is_interrupted(
    number: signal.Signals, experiment: Path, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        [*PROGRAM, experiment, "-o", "augment=erm", "-o", "train.epochs=100000"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch 2/"):
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said


# Ends with the first line: nobody waits for what would come after it.
FIRST_LINE = """
import io, os, sys
class Stderr(io.StringIO):
    def write(self, text):
        if not super().write(text):
            return 0
        os.write(1, f"{sorted(sys.modules.keys() & {'torch', 'pydantic', 'scipy', 'torchvision'})} {text}".encode())
        os._exit(0)
sys.stderr = Stderr()
from orchestrator.train.__main__ import main
main(["experiments/quickstart.yaml"])
"""


def test_a_first_line_comes_before_anything_heavy_is_imported(environment: dict[str, str]) -> None:
    kept = {name: value for name, value in environment.items() if name not in ("RANK", "WORLD_SIZE")}
    ask = [sys.executable, "-c", FIRST_LINE]
    answer = subprocess.run(ask, cwd=ROOT, env=kept, check=True, timeout=60, capture_output=True, text=True)
    assert answer.stdout.rstrip() == "[] python -m orchestrator.train: loading PyTorch, which takes some seconds"


@pytest.mark.parametrize("rank", [0, 1])
def test_of_all_ranks_one_says_it(
    rank: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(printed, "train_printed", lambda _: None)
    disabled = waiting.logger.disabled
    assert call("x.yaml") == 0
    waiting.logger.disabled = disabled
    assert capsys.readouterr().err.count("loading PyTorch") == (rank == 0)


def test_what_the_package_exports_is_there() -> None:
    names = {name: getattr(orchestrator.train, name) for name in orchestrator.train.__all__}
    assert names["train_cell"] is train_cell
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = orchestrator.train.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", [[], ["--nothing"], ["a.yaml", "b.yaml"]], ids=["empty", "option", "too many"])
def test_wrong_usage_exits_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Usage: python -m orchestrator.train ")
    assert captured.out == ""


def test_help_names_every_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert call("--help") == 0
    shown = capsys.readouterr().out
    for word in ("EXPERIMENT", "--cell KEY", "-o, --override KEY=VALUE", "--checkpoint-dir DIR", "torchrun"):
        assert word in shown


def test_missing_file_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "absent.yaml") == 2
    assert "absent.yaml" in capsys.readouterr().err


def test_failed_cell_is_said_without_a_traceback(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(experiment, "-o", "augment=erm", "-o", "train.lr=1.0e+12") == 1
    assert re.match(r"error: .*nan in epoch 1\n  remedy:  lower train\.lr", capsys.readouterr().err)


def test_resources_of_the_experiment_count(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def remembering(*arguments: Any, **options: Any) -> CellResult:
        seen.update(options)
        return train_cell(*arguments, **options)

    resources = {"feed": "streaming", "checkpoint_every_s": "7.5", "backend": "torch"}
    words = [word for key, value in resources.items() for word in ("-o", f"resources.{key}={value}")]
    monkeypatch.setattr(printed, "train_cell", remembering)
    assert call(experiment, "-o", "augment=erm", *words) == 0
    assert isinstance(seen["feed"], StreamingFeed)
    assert (seen["checkpoint_every_s"], seen["backend"]) == (7.5, "torch")


def test_images_that_do_not_fit_are_said_without_a_traceback(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feed, "free_memory_bytes", lambda: 1000)
    assert call(experiment, "-o", "augment=erm", "-o", "resources.feed=resident") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: the decoded images take ")
    assert "Traceback" not in captured.err


def test_storage_of_a_sweep_at_work_is_left_alone(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.storage.folder import Storage

    storage = Storage(tmp_path / "runs")
    storage.prepare()
    with storage.locked("tiny"):
        assert call(experiment, "-o", "augment=erm") == 2
    assert "a sweep is at work there" in capsys.readouterr().err
    assert not storage.cells_dir.exists()
