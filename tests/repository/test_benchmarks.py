"""The benchmarks that need no quiet machine to be right: what the compiler says, and that all contestants run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from commands import ROOT
from packaging.version import Version

BENCHMARKS = ROOT / "benchmarks"


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
def test_the_mixing_benchmark_times_every_contestant(environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "mixing.json"
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import mixing; "
        "mixing.SHAPES = [(32, 3, 8, 8)]; "
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


# Each kind of table, of every claim one at least.
FEW = (
    "^6 rows, [35] seeds$|rho 0.5|baseline 2 times|20% missing|360 images|^2 rows|screen|looks.*added|test mean.*ridge|"
    "better on 2|as much images as trainings, 5"
)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options",
    [
        ["--tables", "1000", "--slack", "0.03", "--only", FEW],
        pytest.param([], marks=pytest.mark.slow),
    ],
    ids=["a few", "all"],
)
def test_what_is_said_of_a_table_is_as_sure_as_it_says(environment: dict[str, str], options: list[str]) -> None:
    command = [sys.executable, BENCHMARKS / "verdicts.py", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count(" met") >= 20
