"""The benchmarks that need no quiet machine to be right: what the compiler says, and what a host without a GPU says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import ROOT

BENCHMARKS = ROOT / "benchmarks"


def run(environment: dict[str, str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


def test_the_kernels_compile_for_a_gpu_and_spill_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """The interpreter accepts more than the compiler does."""
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    # A folder of its own: a cached result would hide that the source does not compile any more.
    environment = environment | {"TRITON_CACHE_DIR": str(tmp_path / "cache")}
    out = tmp_path / "report.json"
    done = run(environment, sys.executable, BENCHMARKS / "kernel_report.py", "--capability", "90", "--json", out)
    assert done.returncode == 0, done.stderr
    rows = {row["kernel"]: row for row in json.loads(out.read_text())["kernels"]}
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
    assert result["exit_codes"] == {"tests": 1, "mixing": 1, "crossover": 1}
    assert result["tests"]["tests"] == result["tests"]["skipped"] > 100
    assert result["mixing"] is None
    assert result["crossover"] is None


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
