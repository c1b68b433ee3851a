"""What an earlier version trained: the same numbers now, and its storage and MLflow store go on.

The earlier version is taken out of the repository's history and run as it is, with the libraries of today. Raise
`EARLIER` together with ``KEY_VERSION``, to a commit whose numbers are meant to be others.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import ROOT

EARLIER = "3e3d49e"
QUICKSTART = "experiments/quickstart.yaml"
ONE_CELL = (
    *("-o", "resources.workers=1", "-o", "augment={zeta_mixup: {gamma: 2.8, num_mixed: 4}}"),
    *("-o", "seed=0", "-o", "train.epochs=2"),
)
pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The earlier version's files."""
    archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"{EARLIER} is not in this checkout's history")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def variables(environment: dict[str, str]) -> Callable[[Path], dict[str, str]]:
    """Return the environment in which the code of a folder runs, in its workers, too."""
    return lambda code: environment | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def run_in(variables: Callable[[Path], dict[str, str]]) -> Run:
    def run(code: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=code,
            env=variables(code),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return run


@pytest.mark.parametrize("feed", ["streaming", "resident"])
def test_numbers_are_the_same_bit_for_bit(feed: str, earlier: Path, run_in: Run, tmp_path: Path) -> None:
    found = []
    for name, code in (("before", earlier), ("now", ROOT)):
        options = (*ONE_CELL, "-o", f"resources.feed={feed}", "--checkpoint-dir", str(tmp_path / name))
        done = run_in(code, "orchestrator.train", QUICKSTART, *options)
        assert done.returncode == 0, done.stderr
        (folder,) = (tmp_path / name).iterdir()
        said = re.sub(r", \d+ images/s", "", done.stdout).replace(str(tmp_path / name), "")
        found.append(([" ".join(line.split()) for line in said.splitlines()], folder))
    (said, before), (said_now, now) = found
    # What is said may grow, e.g. by a metric, and be set wider; what is of each class stands in a table now.
    elsewhere = ("auroc", "test/recall/")
    assert [line for line in said if line not in said_now and not any(word in line for word in elsewhere)] == []
    assert before.name == now.name
    weights, weights_now = (torch.load(folder / "best.pt", weights_only=True) for folder in (before, now))
    assert weights_now["epoch"] == weights["epoch"]
    assert weights_now["model"].keys() == weights["model"].keys()
    assert all(torch.equal(tensor, weights_now["model"][name]) for name, tensor in weights["model"].items())
    results, results_now = (torch.load(folder / "result.pt", weights_only=True) for folder in (before, now))
    assert results_now.keys() == results.keys()
    assert results_now["split_hash"] == results["split_hash"]
    entries, entries_now = ([*found["history"], found["result"]] for found in (results, results_now))
    for entry, entry_now in zip(entries, entries_now, strict=True):
        for metric, value in entry["metrics"].items():
            if metric.endswith("/auroc"):  # was rounded to float32 then
                assert entry_now["metrics"][metric] == pytest.approx(value, abs=1e-6), metric
            elif metric not in ("train/images_per_s", "train/epoch_s"):
                # As texts, so that NaN is NaN.
                assert repr(entry_now["metrics"][metric]) == repr(value), metric


@pytest.mark.timeout(900)
def test_interrupted_sweep_goes_on(
    earlier: Path, run_in: Run, variables: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    options = ("-o", "seed=[0]", "-o", "train.epochs=24")
    old, new = (("-o", f"storage={tmp_path / name}") for name in ("old", "new"))
    _interrupt_after_two_cells(earlier, QUICKSTART, *options, *old, env=variables(earlier))

    status = run_in(ROOT, "orchestrator", "status", QUICKSTART, *options, *old)
    assert status.returncode == 1, status.stderr
    done = int(re.search(r"(\d+) done", status.stdout)[1])  # type: ignore[index]
    assert 2 <= done < 6, status.stdout
    synced = run_in(ROOT, "orchestrator", "sync", QUICKSTART, *options, *old)
    # The earlier version left a cell that was trained and not told, if the signal came just then.
    assert synced.returncode == ("missing in MLflow: " in synced.stdout), synced.stdout + synced.stderr
    compared = run_in(ROOT, "orchestrator", "compare", QUICKSTART, *options, *old)
    assert f"Without a value: {6 - done} of 6 cells" in compared.stdout, compared.stdout + compared.stderr
    doctor = run_in(ROOT, "orchestrator", "doctor", QUICKSTART, *options, *old)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr

    _report_has_what_it_can(run_in, tmp_path / "old", *options, *old)

    finished = run_in(ROOT, "orchestrator", "run", QUICKSTART, *options, *old)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"cells:     6: {done} done, {6 - done} to run" in finished.stdout
    anew = run_in(ROOT, "orchestrator", "run", QUICKSTART, *options, *new)
    assert anew.returncode == 0, anew.stdout + anew.stderr
    for metric in ("test/error", "test/loss", "test/ece", "val/loss", "train/loss"):
        tables = [
            run_in(ROOT, "orchestrator", "compare", QUICKSTART, *options, *where, "--metric", metric, "--format", "csv")
            for where in (old, new)
        ]
        assert tables[0].returncode == 0, tables[0].stderr
        # Each store has ids of its own for its runs, the last of each line.
        lines = [[line.rpartition(",")[0] for line in table.stdout.splitlines()] for table in tables]
        assert lines[0] == lines[1]
        assert tables[0].stdout.count("\n") == 7
    after = run_in(ROOT, "orchestrator", "doctor", QUICKSTART, *options, *old)
    assert after.returncode == 0, after.stdout + after.stderr


def _report_has_what_it_can(run_in: Run, storage: Path, *options: str) -> None:
    """Earlier versions kept no predictions for each test image: what needs them is left out, and said, and mended."""
    without = "not in it: recall, reliability, confusion: No finished cell of digits / convnet has its predictions"
    for has_predictions in (False, True):
        report = run_in(ROOT, "orchestrator", "report", QUICKSTART, *options)
        assert report.returncode == 1, f"not all cells are there: {report.stdout + report.stderr}"
        assert (without in report.stderr) != has_predictions, report.stderr
        assert (storage / "report" / "quickstart" / "report.html").stat().st_size > 0
        if not has_predictions:
            fixed = run_in(ROOT, "orchestrator", "doctor", QUICKSTART, *options, "--fix")
            assert fixed.returncode == 0, fixed.stdout + fixed.stderr
            assert fixed.stdout.rstrip().endswith(" mended, 0 left"), fixed.stdout


def _interrupt_after_two_cells(code: Path, *arguments: str, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "orchestrator", "run", *arguments]
    with subprocess.Popen(command, cwd=code, env=env, stdout=subprocess.PIPE, text=True) as sweep:
        assert sweep.stdout is not None
        for line in sweep.stdout:
            if line.startswith("[2/"):
                time.sleep(2.0)  # well into the third, and long before its end
                os.kill(sweep.pid, signal.SIGINT)
        assert sweep.wait(timeout=120) == 130
