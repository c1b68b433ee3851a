"""Real sweeps submitted to a real cluster that asks for a token: to the end, and stopped in the middle of an epoch."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest
from commands import ROOT
from mlflow import MlflowClient
from mlflow.entities import Run
from ray_head import running_head, with_token
from sweep_results import TIMINGS

from orchestrator.product_code import product_commit
from orchestrator.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
# So small a batch that an epoch takes seconds.
EXPERIMENT = """
name: small
dataset: digits
model: convnet
augment: [erm, {zeta_mixup: {gamma: 2.8, num_mixed: 2}}]
seed: 0
train: {epochs: 6, batch_size_per_worker: 2}
resources: {workers: 1, slots: 2}
"""


@pytest.fixture(scope="module")
def users(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of those who use the cluster; without RAY_AUTH_MODE, which submit sets by itself."""
    with running_head(with_token(environment), tmp_path_factory.mktemp("head")) as found:
        variables = {name: value for name, value in found.items() if name != "RAY_AUTH_MODE"}
        yield variables | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "small.yaml"
    path.parent.mkdir()
    path.write_text(EXPERIMENT)
    return path


def zetasweep(users: dict[str, str], file: Path, *words: str) -> subprocess.Popen[str]:
    """The command line in the folder of the experiment, which is no checkout."""
    command = [sys.executable, "-m", "orchestrator", *words]
    return subprocess.Popen(
        command, cwd=file.parent, env=users, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def answer_of(process: subprocess.Popen[str], timeout_s: float = 1200) -> str:
    output, _ = process.communicate(timeout=timeout_s)
    return output


def until_line(output: IO[str], begins: str) -> Iterator[str]:
    """Read on to a line that begins so, and yield it."""
    for line in output:
        if line.startswith(begins):
            yield line
            return


def runs_of(storage: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def cells_of(storage: Path) -> dict[str, Run]:
    found = [run for run in runs_of(storage) if run.data.tags.get("zetasweep.kind") == "cell"]
    return {run.data.tags["zetasweep.cell"]: run for run in found}


def rows_of(storage: Path) -> Counter[tuple[str, str, int, float]]:
    """How often each value of each epoch of each cell was measured; not how long it took."""
    query = (
        "select tags.value, metrics.key, step, metrics.value from metrics "
        "join tags on tags.run_uuid = metrics.run_uuid and tags.key = 'zetasweep.cell'"
    )
    with closing(sqlite3.connect(storage / "mlflow.db")) as connection:
        return Counter(row for row in connection.execute(query) if row[1] not in TIMINGS)


def until_both_have_an_epoch(storage: Path, process: subprocess.Popen[str], timeout_s: float = 900) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        if (storage / "cells").exists():
            epochs = [run.data.metrics.get("epoch", 0) for run in cells_of(storage).values()]
            if len(epochs) == 2 and min(epochs) >= 1:
                return
        time.sleep(0.2)


def test_a_sweep_that_is_stopped_in_an_epoch_gives_the_same_table_when_it_is_submitted_again(
    users: dict[str, str], file: Path, tmp_path: Path
) -> None:
    undisturbed, storage = tmp_path / "undisturbed", tmp_path / "runs"
    process = zetasweep(users, file, "submit", file.name, "-o", f"storage={undisturbed}")
    output = answer_of(process)
    assert process.returncode == 0, output
    assert re.search(r"^job: small-[0-9a-f]{8}, with \d\.\d MB$", output, re.MULTILINE)
    assert re.search(rf"^dashboard: {users['RAY_ADDRESS']}/#/jobs/small-[0-9a-f]{{8}}$", output, re.MULTILINE)
    assert "[2/2 cells" in output
    assert "exit code 0: all is done" in output
    assert {run.info.status for run in runs_of(undisturbed)} == {"FINISHED"}
    # The job's folder is no checkout, and says all the same which code it has.
    if commit := product_commit():
        assert {run.data.tags["zetasweep.commit"] for run in cells_of(undisturbed).values()} == {commit}

    process = zetasweep(users, file, "submit", file.name, "-o", f"storage={storage}")
    assert process.stdout is not None
    (job,) = [line.split()[1].rstrip(",") for line in until_line(process.stdout, "job: ")]
    until_both_have_an_epoch(storage, process)
    began = time.monotonic()
    stopping = zetasweep(users, file, "stop", job)
    said = answer_of(stopping)
    print(f"stopped within {time.monotonic() - began:.1f} s: {said}")  # noqa: T201 - a figure
    assert stopping.returncode == 0, said
    assert f"{job}: interrupted: 0 of 2 cells done; the same command goes on" in said
    output = answer_of(process)
    assert process.returncode == 130, output
    (listed,) = [line for line in answer_of(zetasweep(users, file, "jobs")).splitlines() if line.startswith(job)]
    assert listed.split()[1] == "stopped"
    assert f"{job}: stopped; what it has trained is in its storage" in output

    assert {run.info.status for run in runs_of(storage)} == {"KILLED"}
    of_cells = [Storage(storage).cell(key).points()[0] for key in cells_of(storage)]
    assert len(of_cells) == 2
    # One of them may have been at the end of an epoch.
    assert any(point.step > 0 for point in of_cells), of_cells

    process = zetasweep(users, file, "submit", file.name, "-o", f"storage={storage}")
    output = answer_of(process)
    assert process.returncode == 0, output
    assert {run.info.status for run in runs_of(storage)} == {"FINISHED"}
    rows = rows_of(storage)
    assert set(rows.values()) == {1}
    assert rows == rows_of(undisturbed)


def test_a_plug_in_travels_and_a_mistake_is_the_commands(users: dict[str, str], file: Path, tmp_path: Path) -> None:
    (file.parent / "flat.py").write_text(
        "from torch import nn\n\ndef build(*, num_classes, num_channels, image_size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(num_channels * image_size**2, num_classes))\n\n"
        "MODELS = {'flat': build}\n"
    )
    options = ["-o", f"storage={tmp_path / 'runs'}", "-o", "model=flat", "-o", "augment=erm", "-o", "train.epochs=1"]
    options += ["-o", "train.batch_size_per_worker=64", "--plugin", "flat.py"]
    process = zetasweep(users, file, "submit", file.name, *options)
    output = answer_of(process)
    assert process.returncode == 0, output
    (run,) = cells_of(tmp_path / "runs").values()
    assert run.data.tags["zetasweep.plugin.model"].startswith("flat of flat, ")
    # What only the cluster can know: such a machine is not there.
    process = zetasweep(users, file, "submit", file.name, *options, "-o", "resources.workers=64")
    output = answer_of(process)
    assert process.returncode == 2, output
    assert "exit code 2: the input is wrong, and nothing was started" in output
