"""``benchmarks/gpu_day.sh``: all that only a GPU can say, tried without one."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import torch
from commands import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu_day.sh"
BESIDE_ITSELF = {"mixing", "launch_settings", "training", "sweep", "cifar10"}


@pytest.fixture
def gpu_day(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu_day

    yield gpu_day
    del sys.modules["gpu_day"]


def run(environment: dict[str, str], *options: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), *map(str, options)]
    environment = environment | {"PYTHON": sys.executable}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=850, check=False
    )


@pytest.mark.timeout(900)  # minutes, where others work on the machine, too
def test_on_a_cpu_every_stage_runs_with_tiny_sizes(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "--smoke", "--out", tmp_path)
    told = json.loads((tmp_path / "gpu_day.json").read_text())
    assert done.returncode == 0, json.dumps(told, indent=2)
    assert [step["left_out"] for step in told["steps"]] == [""] * len(told["steps"])
    # What two cores have in a minute; how long that is depends on who else works there.
    assert told["cpu_s"] < 120
    assert {step["stage"] for step in told["steps"]} == {"tests", "mixing", "training", "sweep", "cifar10"}
    written = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert written.keys() == BESIDE_ITSELF | {"gpu_day"}
    # Nothing on a CPU is a figure of a GPU.
    assert all(not found.get("bars") for found in written.values())
    assert all(found["source"]["smoke"] for name, found in written.items() if name != "gpu_day")


def test_every_file_with_gpu_tests_is_in_it(gpu_day: ModuleType) -> None:
    marked = re.compile(r"pytest\.mark\.gpu\b")
    found = {
        str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py") if marked.search(path.read_text())
    }
    listed = [file for files, *_ in gpu_day.GPU_TESTS.values() for file in files]
    assert found - {"tests/repository/test_gpu_day.py"} == set(listed)
    # What the conftest.py of a folder imports is imported for all files of one process.
    assert all(len({Path(file).parent for file in files}) == 1 for files, *_ in gpu_day.GPU_TESTS.values())


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="about a host without a GPU")
def test_without_a_gpu_it_fails_and_writes_no_figure(
    gpu_day: ModuleType, environment: dict[str, str], tmp_path: Path
) -> None:
    done = run(environment, "--only", "tests", "--only", "mixing", "--out", tmp_path)
    assert done.returncode == 1
    steps = {step["step"]: step for step in json.loads((tmp_path / "gpu_day.json").read_text())["steps"]}
    assert {step["exit_code"] for step in steps.values()} == {1}
    assert "there is no CUDA device" in steps["mixing"]["tail"]
    tests = [steps[name] for name in gpu_day.GPU_TESTS]
    assert all("no GPU test ran" in step["tail"] for step in tests)
    assert all((step["found"]["passed"], step["found"]["failed"]) == (0, 0) for step in tests)
    assert sum(step["found"]["skipped"] for step in tests) > 100
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_day.json"]


def test_all_but_the_last_stages_fit_into_the_time(gpu_day: ModuleType, tmp_path: Path) -> None:
    arguments = argparse.Namespace(smoke=False, data_dir=tmp_path)
    steps = {stage: list(gpu_day.steps_of(stage, arguments)) for stage in gpu_day.STAGES}
    assert [step.box_s for step in steps["cifar10"]] == [None]
    assert sum(step.box_s for stage in gpu_day.STAGES[:-2] for step in steps[stage]) <= gpu_day.LIMIT_S


def test_boxes_grow_into_the_time_of_what_is_asked_for(
    gpu_day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, float] = {}
    monkeypatch.setattr(gpu_day, "run_step", lambda step, *_: seen.update({step.name: step.box_s}))
    monkeypatch.setattr(gpu_day, "end_all", lambda: None)
    arguments = argparse.Namespace(smoke=False, data_dir=None, only=["mixing"], out=tmp_path)
    list(gpu_day.run_all(arguments, {}, time.monotonic() + 400))
    assert sum(seen.values()) == pytest.approx(400, abs=1)
    assert seen["mixing"] == pytest.approx(250, abs=1)


def test_a_folder_without_cifar10_is_refused_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = run(environment, "--data-dir", "data", folder=tmp_path)
    assert done.returncode == 2
    assert f"--data-dir {tmp_path / 'data'} holds no cifar-10-batches-py" in done.stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_folders_are_those_of_who_calls(gpu_day: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_day", "--out", "found", "--data-dir", "data"])
    # They are this process's children's.
    monkeypatch.setattr(gpu_day, "adopt_orphans", lambda: None)
    monkeypatch.setattr(gpu_day, "end_all", lambda: None)
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(gpu_day, "run_all", lambda arguments, *_: seen.append(arguments) or ())
    gpu_day.main()
    assert (seen[0].out, seen[0].data_dir) == (tmp_path / "found", tmp_path / "data")


BOXED = """
import os, sys
from pathlib import Path
from boxed import adopt_orphans, end_all, run_boxed

adopt_orphans()
sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
step = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {sleeper!r}], start_new_session=True); "
seconds = float(sys.argv[1])
code, output = run_boxed([sys.executable, "-c", step + REST], os.environ, Path.cwd(), seconds=seconds, grace_s=15.0)
end_all()
print(code, output)
"""


@pytest.mark.parametrize(
    ("rest", "expected"), [("time.sleep(100)", "124"), ("time.sleep(4)", "0")], ids=["over its time", "in time"]
)
def test_what_a_step_has_started_ends_with_it(
    rest: str, expected: str, environment: dict[str, str], tmp_path: Path
) -> None:
    code = f"REST = {rest!r}\n{BOXED}"
    environment = environment | {"PYTHONPATH": str(ROOT / "benchmarks")}
    command = [sys.executable, "-c", code, "10" if expected == "124" else "80"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=True
    )
    exit_code, left = done.stdout.split()
    assert exit_code == expected
    assert not psutil.pid_exists(int(left))


def test_who_ends_the_day_ends_its_steps(environment: dict[str, str], tmp_path: Path) -> None:
    written = tmp_path / "pid"
    rest = f"open({str(written)!r}, 'w').write(str(__import__('os').getpid())); time.sleep(100)"
    environment = environment | {"PYTHONPATH": str(ROOT / "benchmarks")}
    day = subprocess.Popen([sys.executable, "-c", f"REST = {rest!r}\n{BOXED}", "200"], env=environment)
    while not (written.exists() and written.read_text()):
        time.sleep(0.05)
    below = psutil.Process(day.pid).children(recursive=True)
    day.terminate()
    assert day.wait(60) == 128 + signal.SIGTERM
    assert len(below) == 2
    assert not any(each.is_running() for each in below)


def step_of(gpu_day: ModuleType, code: str, **options: Any) -> Any:
    return gpu_day.Step("one", ("-c", code), **({"box_s": 30.0} | options))


def test_a_step_that_is_over_its_time_is_ended(gpu_day: ModuleType, tmp_path: Path) -> None:
    step = step_of(gpu_day, "import time; print('began', flush=True); time.sleep(60)", box_s=5.5, grace_s=0.5)
    ended = gpu_day.run_step(step, tmp_path, {}, 100.0)
    assert (ended.exit_code, ended.tail) == (124, "began\n")
    assert gpu_day.run_step(step, tmp_path, {}, 3.0).left_out == "the time was up"


def test_what_needs_a_package_that_is_not_here_is_left_out_and_said(gpu_day: ModuleType, tmp_path: Path) -> None:
    step = step_of(gpu_day, "raise SystemExit(1)", needs=("json", "not_here"))
    ended = gpu_day.run_step(step, tmp_path, {}, 100.0)
    assert (ended.exit_code, ended.left_out) == (None, "not installed here: not_here (--wheels FOLDER)")
    assert ended.lacks


PRINTED = """
tests/augment/test_kernel.py::test_one[a b-2] PASSED                     [ 25%]
tests/augment/test_kernel.py::test_one[c-2] FAILED                       [ 50%]
[gw3] [ 60%] PASSED tests/augment/test_kernel.py::test_one[d-2]
tests/train/test_feed.py::test_two SKIPPED (there is no CUDA device)     [ 75%]
tests/train/test_feed.py::test_three """


def test_tests_that_ended_are_known_also_when_the_time_was_up(gpu_day: ModuleType) -> None:
    ended = gpu_day.Ended("tests", 124, tail="...")
    gpu_day.judge_tests(ended, PRINTED)
    assert ended.found == {
        "passed": 2,
        "failed": 1,
        "error": 0,
        "skipped": 1,
        "failed_tests": ["tests/augment/test_kernel.py::test_one[c-2]"],
        "left_out": {},
    }
    assert (ended.exit_code, ended.tail) == (124, "...")


@pytest.mark.parametrize(("why", "exit_code"), [("ModuleNotFoundError: No module 'x'", 0), ("SyntaxError", 1)])
def test_one_file_that_cannot_be_imported_fails_nothing(gpu_day: ModuleType, why: str, exit_code: int) -> None:
    passed = "tests/augment/test_kernel.py::test_one PASSED [100%]"
    ended = gpu_day.Ended("tests", 1, tail="...")
    gpu_day.judge_tests(ended, f"{passed}\nERROR tests/train/test_feed.py - {why}\n")
    assert ended.exit_code == exit_code
    # It fails the day, which lacks a package.
    assert ended.lacks == (exit_code == 0)
    assert ended.found["left_out"] == ({"tests/train/test_feed.py": why} if exit_code == 0 else {})


def test_packing_counts_while_all_slots_are_at_work(gpu_day: ModuleType) -> None:
    from gpu_sweep import cells_per_hour

    assert gpu_day.HERE.is_dir()
    second, one = 1000, [(0, 10), (10, 20), (20, 30)]
    assert cells_per_hour([(began * second, ended * second) for began, ended in one], 1) == pytest.approx(360)
    # The second slot starts twenty seconds late, and that counts as little as what the first one does alone.
    two = [(0, 10), (10, 20), (20, 30), (30, 40), (20, 30), (30, 40)]
    assert cells_per_hour([(began * second, ended * second) for began, ended in two], 2) == pytest.approx(720)


def test_where_nothing_can_be_imported_all_is_left_out_and_not_failed(gpu_day: ModuleType, tmp_path: Path) -> None:
    code = "print('E   ModuleNotFoundError: No module named scipy'); raise SystemExit(2)"
    step = gpu_day.Step("test_one", ("-c", code, "pytest"), 30.0)
    ended = gpu_day.run_step(step, tmp_path, {}, 100.0)
    assert (ended.exit_code, ended.left_out) == (None, "ModuleNotFoundError: No module named scipy")


def test_a_wheel_in_parts_is_put_together(gpu_day: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "carried-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("carried.py", "HERE = True\n")
        for name, text in {
            "METADATA": "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }.items():
            archive.writestr(f"carried-1.0.dist-info/{name}", text)
    content = wheel.read_bytes()
    wheel.unlink()
    for name, part in (("aa", content[:200]), ("ab", content[200:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{wheel.name}.part-{name}").write_bytes(part)
    target, scratch = tmp_path / "target", tmp_path / "scratch"
    scratch.mkdir()
    gpu_day.install([tmp_path / "ab", tmp_path / "aa"], target, scratch)
    assert (target / "carried.py").read_text() == "HERE = True\n"
    with pytest.raises(SystemExit, match="no wheel is there"):
        gpu_day.install([scratch / "empty"], target, scratch)
