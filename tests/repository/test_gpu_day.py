"""``benchmarks/gpu_day.sh``: all that only a GPU can say, tried without one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

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


def run(environment: dict[str, str], *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), *map(str, options)]
    environment = environment | {"PYTHON": sys.executable}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=850, check=False)


@pytest.mark.timeout(900)  # minutes, where others work on the machine, too
def test_on_a_cpu_every_stage_runs_with_tiny_sizes(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "--smoke", "--out", tmp_path)
    told = json.loads((tmp_path / "gpu_day.json").read_text())
    assert done.returncode == 0, json.dumps(told, indent=2)
    assert [step["left_out"] for step in told["steps"]] == [""] * len(told["steps"])
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
    assert found - {"tests/repository/test_gpu_day.py"} == set(gpu_day.GPU_TESTS)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="about a host without a GPU")
def test_without_a_gpu_it_fails_and_writes_no_figure(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "--only", "tests", "--only", "mixing", "--out", tmp_path)
    assert done.returncode == 1
    steps = {step["step"]: step for step in json.loads((tmp_path / "gpu_day.json").read_text())["steps"]}
    assert {step["exit_code"] for step in steps.values()} == {1}
    assert "no GPU test ran" in steps["test_kernel"]["tail"]
    assert "there is no CUDA device" in steps["mixing"]["tail"]
    assert steps["test_kernel"]["found"]["tests"] == steps["test_kernel"]["found"]["skipped"] > 100
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_day.json"]


def step_of(gpu_day: ModuleType, code: str, **options: Any) -> Any:
    return gpu_day.Step("one", ("-c", code), **({"box_s": 30.0} | options))


def test_a_step_that_is_over_its_time_is_ended(gpu_day: ModuleType, tmp_path: Path) -> None:
    step = step_of(gpu_day, "import time; print('began', flush=True); time.sleep(60)", box_s=5.5)
    ended = gpu_day.run_step(step, tmp_path, {}, 100.0)
    assert (ended.exit_code, ended.tail) == (124, "began\n")
    assert gpu_day.run_step(step, tmp_path, {}, 3.0).left_out == "the time was up"


def test_what_needs_a_package_that_is_not_here_is_left_out_and_said(gpu_day: ModuleType, tmp_path: Path) -> None:
    step = step_of(gpu_day, "raise SystemExit(1)", needs=("json", "not_here"))
    ended = gpu_day.run_step(step, tmp_path, {}, 100.0)
    assert (ended.exit_code, ended.left_out) == (None, "not installed here: not_here (--wheels FOLDER)")


def test_a_test_file_that_cannot_be_imported_is_left_out_and_not_failed(gpu_day: ModuleType, tmp_path: Path) -> None:
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
        (tmp_path / f"{wheel.name}.part-{name}").write_bytes(part)
    target, scratch = tmp_path / "target", tmp_path / "scratch"
    scratch.mkdir()
    gpu_day.install(tmp_path, target, scratch)
    assert (target / "carried.py").read_text() == "HERE = True\n"
    with pytest.raises(SystemExit, match="holds no wheel"):
        gpu_day.install(scratch / "empty", target, scratch)
