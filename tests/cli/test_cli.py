"""What bad input gets: exit code 2, everything that is wrong, no traceback, nothing started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ROOT, Answer, Call

from orchestrator.cli.compare import FORMATS
from orchestrator.cli.main import main
from orchestrator.results.formats import WRITERS

GOOD = """
name: good
dataset: digits
model: convnet
augment: [erm, {zeta_mixup: {gamma: 2.8, num_mixed: 4}}]
train: {epochs: 1, batch_size_per_worker: 32}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def assert_refused(answer: Answer, *expected: str) -> None:
    assert answer.code == 2, answer.out + answer.err
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.out + answer.err
    for text in expected:
        assert text in answer.err


@pytest.mark.parametrize("command", ["plan", "run", "status", "compare", "select"])
def test_file_that_does_not_exist(call: Call, command: str) -> None:
    assert_refused(call(command, "nowhere.yaml"), "nowhere.yaml")


def test_syntax_error_names_file_and_line(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "torn.yaml"
    path.write_text("name: torn\ndataset: [digits\nmodel: convnet\n")
    assert_refused(call("run", path), "torn.yaml", "line 3")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trian.epochs=2", ["trian", "train"]),
        ("dataset=digit", ["digit", "digits"]),
        ("model=convnte", ["convnte", "convnet"]),
        ("augment=zeta_mix", ["zeta_mix", "zeta_mixup"]),
        ("augment={zeta_mixup: {gamma: 0, num_mixed: 4}}", ["gamma", "0"]),
        ("augment={zeta_mixup: {gamma: -1.5, num_mixed: 4}}", ["gamma", "-1.5"]),
        ("augment={zeta_mixup: {gamma: .nan, num_mixed: 4}}", ["gamma", "nan"]),
        ("augment={zeta_mixup: {gamma: 2.8, num_mixed: 33}}", ["num_mixed", "33", "batch_size_per_worker", "32"]),
        ("augment={mixup: {alpha: 0}}", ["alpha", "0"]),
        ("train.epochs=0", ["train.epochs", "0", "from 1"]),
        ("seed=[0, 0]", ["seed"]),
        ("resources={workers: 2, gpus_per_worker: 0.5}", ["gpus_per_worker", "0.5"]),
        ("resources.workers=40", ["40", "workers", "CPUs"]),
        ("resources={workers: 1, slots: 99}", ["99 slots x"]),
        ("resources={workers: 1, gpus_per_worker: 99}", ["99 GPUs"]),
        ("dataset=cifar10", ["cifar10", "--download"]),
        ("dataset={image_folder: {folder: mine}}", ["mine", "train"]),
    ],
)
def test_wrong_values_are_refused_before_anything_starts(
    call: Call, good: Path, tmp_path: Path, override: str, expected: list[str]
) -> None:
    assert_refused(call("run", good, "-o", override, "-o", "data_dir=data"), *expected)
    assert not (tmp_path / "runs" / "cells").exists()


def test_all_mistakes_of_a_file_come_at_once(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace("digits", "digit").replace("2.8", "-1").replace("epochs: 1", "epochs: 0"))
    assert_refused(call("plan", path), "digit", "gamma", "train.epochs")


@pytest.mark.parametrize("storage", ["a_file", "a_file/below"])
def test_storage_that_cannot_be_written(call: Call, good: Path, tmp_path: Path, storage: str) -> None:
    (tmp_path / "a_file").write_text("")
    assert_refused(call("run", good, "-o", f"storage={storage}"), f"storage = {tmp_path / storage}", "remedy")


def test_mlflow_that_nobody_answers(call: Call, good: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    began = time.monotonic()
    answer = call("run", good, "-o", f"tracking.uri=http://127.0.0.1:{port}")
    assert_refused(answer, f"tracking.uri = http://127.0.0.1:{port}", "remedy")
    # The promise itself is 30 s: a user waits that long for the message.
    assert time.monotonic() - began < 30


@pytest.mark.slow  # it waits as long as a user does
def test_mlflow_server_that_never_responds(call: Call, good: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        assert_refused(call("run", good, "-o", f"tracking.uri=http://127.0.0.1:{port}"), "tracking.uri")
        assert time.monotonic() - began < 30


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["zetasweep", "plan", "nowhere.yaml", "--debug"])
    with pytest.raises(Exception, match=r"nowhere\.yaml"):
        main()


def test_unknown_metric_names_the_nearest(call: Call, good: Path) -> None:
    assert_refused(call("compare", good, "--metric", "test/eror"), "test/error")


def test_unknown_option_and_missing_argument(call: Call, good: Path) -> None:
    assert call("run", good, "--no-such-option").code == 2
    assert call("run").code == 2


def test_plan_shows_cells_and_starts_nothing(call: Call, good: Path, tmp_path: Path) -> None:
    answer = call("plan", good)
    assert answer.code == 0
    assert "2 to run" in answer.out
    assert "slots:" in answer.out
    assert "disk:" in answer.out
    assert not (tmp_path / "runs").exists()


def test_plan_of_a_gpu_experiment_plans_where_there_is_none(call: Call, good: Path) -> None:
    wanted = (good, "-o", "resources={workers: 4, gpus_per_worker: 99}")
    assert_refused(call("run", *wanted), "99 GPUs")
    answer = call("plan", *wanted)
    assert answer.code == 0, answer.err
    assert "warning:   planned for a machine with " in answer.out
    assert "/ 396 GPUs" in answer.out
    assert "run refuses it on this machine" in answer.out
    assert "slots:     2 at a time" in call("plan", *wanted, "--gpus", "800").out
    assert_refused(call("plan", *wanted, "--gpus", "8"), "there is room for 0")


def test_nothing_is_there_yet(call: Call, good: Path, tmp_path: Path) -> None:
    assert call("status", good).code == 1
    assert call("compare", good).code == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["plan", "status", "compare", "select"])
def test_who_only_looks_makes_no_store(call: Call, good: Path, tmp_path: Path, command: str) -> None:
    answer = call(command, good, "-o", f"tracking.uri=sqlite:///{tmp_path / 'typo.db'}?timeout=5")
    assert answer.code == (0 if command == "plan" else 1)
    assert f"{tmp_path / 'typo.db'} is not there yet" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_sigterm_ends_also_what_ignores_ctrl_c(tmp_path: Path) -> None:
    """A shell has what it starts in the background ignore SIGINT."""
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from orchestrator.cli.main import main; main()"
    command = [sys.executable, "-c", code, "plan", str(path)]
    with (
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process,
        path.open("w"),  # opened when it is read
    ):
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    # After the first line, which says that PyTorch is loaded.
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said


def test_sweep_in_use_names_its_holder(call: Call, good: Path, tmp_path: Path) -> None:
    from orchestrator.storage.folder import Storage

    storage = Storage(tmp_path / "runs")
    storage.prepare()
    with storage.locked("other"):
        assert_refused(call("run", good), f"in use by the sweep other, process {os.getpid()} on ")
    assert not storage.is_locked()


def test_formats_of_the_command_line_are_those_of_the_report() -> None:
    assert set(FORMATS) == {"table", *WRITERS}


def test_select_refuses_a_relative_database(call: Call, good: Path) -> None:
    assert_refused(call("select", good, "-o", "tracking.uri=sqlite:///here.db"), "tracking.uri", "four slashes")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["model=vit_b_16"], "vit_b_16"),
        (["storage=" + 300 * "x"], "too long"),
        (["tracking.uri=sqlite:////no/such/folder/x.db"], "/no/such/folder"),
        (["tracking.uri=sqlite://"], "four slashes"),
        (["tracking.uri=/mlruns"], "allowed: http, https, sqlite"),
        (["tracking.uri=mongodb://host"], "tracking.uri = mongodb://host"),
        (["dataset=cifar10", "data_dir=/no/such"], "data_dir = /no/such is not there; cifar10: /no/such/cifar10"),
        (['storage="a\\0b"'], "storage"),
        (["resources={workers: 1, cpus_per_worker: 1.0e-9}"], "cpus_per_worker"),
    ],
)
def test_what_can_never_run_is_refused_by_plan(call: Call, good: Path, options: list[str], expected: str) -> None:
    assert_refused(call("plan", good, *[word for option in options for word in ("-o", option)]), expected)


def test_a_damaged_database_is_named_at_once(call: Call, good: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mlflow.db").write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    assert_refused(call("status", good), str(tmp_path / "runs" / "mlflow.db"))


def test_a_password_in_the_uri_is_not_printed(call: Call, good: Path) -> None:
    answer = call("plan", good, "-o", "tracking.uri=http://me:hunter2@127.0.0.1:1")
    assert_refused(answer, "http://***@127.0.0.1:1", "MLFLOW_TRACKING_PASSWORD")
    assert "hunter2" not in answer.err
