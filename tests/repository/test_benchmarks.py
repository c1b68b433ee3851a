"""The benchmarks that need no quiet machine to be right: what the compiler says, and what a host without a GPU says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from commands import ROOT
from packaging.version import Version

BENCHMARKS = ROOT / "benchmarks"
NEEDED = {"click", "filelock", "hypothesis", "mlflow", "psutil", "pydantic", "ray", "rich", "scipy", "sklearn", "yaml"}


def run(environment: dict[str, str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu_and_spill_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """The interpreter accepts more than the compiler does."""
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    # A folder of its own: a cached result would hide that the source does not compile any more.
    environment = environment | {"TRITON_CACHE_DIR": str(tmp_path / "cache")}
    out = tmp_path / "report.json"
    done = run(environment, sys.executable, BENCHMARKS / "kernel_report.py", "--capability", "90", "--json", out)
    assert done.returncode == 0, done.stderr
    rows = {row["kernel"]: row for row in json.loads(out.read_text())["kernels"]}
    locked = re.search(r"^triton==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    if Version(version("triton")) >= Version(locked[1]):  # an older compiler may keep less in registers
        assert {name: row["spilled_bytes"] for name, row in rows.items()} == dict.fromkeys(rows, 0)
    on_tensor_cores = {name for name, row in rows.items() if row["tensor_core_instructions"] > 0}
    assert on_tensor_cores == {name for name in rows if name.startswith("dense") and not name.startswith("dense, fp32")}


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="about a host without a GPU")
def test_a_gpu_check_without_a_gpu_fails_and_writes_no_figure(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = run(environment | {"PYTHON": sys.executable}, BENCHMARKS / "gpu_check.sh", out)
    assert done.returncode == 1
    assert "no GPU test ran" in done.stderr
    assert "there is no CUDA device" in done.stderr
    result = json.loads(out.read_text())
    assert result["not_tested"] == []
    assert result["exit_codes"] == {"tests": 1, "mixing": 1, "crossover": 1}
    assert result["tests"]["tests"] == result["tests"]["skipped"] > 100
    assert result["mixing"] is None
    assert result["crossover"] is None


@pytest.mark.slow
def test_a_bare_host_runs_the_tests_of_the_kernels_and_names_what_it_leaves_out(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A host with PyTorch alone; its interpreter finds nothing else, and is asked for no test or benchmark."""
    (tmp_path / "bare.py").write_text(BARE)
    python = tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh
case "$*" in *--collect-only*) exec {sys.executable} -c 'import bare' "$@";; esac
[ "$1" = - ] && exec {sys.executable} "$@"
echo "$@" >> {tmp_path}/asked; exit 7
"""
    )
    python.chmod(0o755)
    path = environment | {"PYTHON": str(python), "PYTHONPATH": str(tmp_path)}
    done = run(path, BENCHMARKS / "gpu_check.sh", tmp_path / "gpu.json")
    assert done.returncode == 1
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["exit_codes"] == {"tests": 7, "mixing": 7, "crossover": 7}
    left_out = {entry.partition(":")[0] for entry in result["not_tested"]}
    assert left_out == {"tests/augment/test_transforms.py", "tests/train/test_feed.py"}
    assert all("No module named" in entry for entry in result["not_tested"])
    assert "test_kernel.py tests/augment/test_contract.py\n" in (tmp_path / "asked").read_text()


BARE = f"""
import sys

class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NEEDED}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Bare())
sys.argv = sys.argv[1:]
if sys.argv[:2] == ["-m", "pytest"]:
    import pytest
    sys.exit(pytest.main(sys.argv[2:] + ["-p", "no:hypothesispytest", "-p", "no:timeout"]))
"""


@pytest.mark.slow
def test_the_mixing_benchmark_times_every_contestant(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "mixing.json"
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import mixing; "
        "mixing.SHAPES = [(32, 3, 8, 8)]; mixing.PIXEL_SHAPE = (32, 3, 8, 8); "
        f"sys.argv = ['mixing.py', '--seconds', '0.01', '--json', {str(out)!r}]; mixing.main()"
    )
    done = run(environment | {"PYTHONPATH": os.fspath(ROOT)}, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    floats, pixels = result["ms"].values()
    assert {"copy", "v2.MixUp", "timm Mixup", "product", "authors"} < floats.keys()
    assert {"zeta_mixup N=2", "zeta_mixup N=8", "zeta_mixup N=batch"} < floats.keys()
    assert {"copy", "usual chain", "authors", "mix_pixels N=4", "mix_pixels N=batch"} < pixels.keys()
    for spread in [*floats.values(), *pixels.values()]:
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]
    assert len(result["bars"]) == 6


@pytest.mark.slow
def test_the_metrics_benchmark_times_every_contestant_and_they_agree(
    environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "metrics.json"
    command = (BENCHMARKS / "metrics_cost.py", "--classes", "2", "5", "--images", "600", "--rounds", "2", "--json", out)
    done = run(environment, sys.executable, *map(str, command))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    for table in result["cpu_s"].values():
        assert table.keys() == {"test", "images alone", "curves", "curves, scikit-learn", "curves, torchmetrics"}
        assert all(spread["count"] == 2 for spread in table.values())
    for differences in result["largest_difference"].values():
        assert max(differences.values()) < 1e-6


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options",
    [
        ["--tables", "1000", "--slack", "0.03", "--only", "^6 rows, 5 seeds$"],
        pytest.param(["--tables", "8000"], marks=pytest.mark.slow),
    ],
    ids=["a few", "all"],
)
def test_what_is_said_of_a_table_is_as_sure_as_it_says(environment: dict[str, str], options: list[str]) -> None:
    command = [sys.executable, BENCHMARKS / "verdicts.py", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count(" met") >= 5
