"""Sweeps that are ended by a signal, lose a worker, a reader or a cell: nothing is left running, no row is lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from commands import Call, Zetasweep, until
from mlflow.entities import Run
from PIL import Image
from started_sweeps import assert_each_epoch_once, cell_runs, children_of, start, until_tracked, workers_of

from orchestrator.signals import NOTICES
from orchestrator.storage import Storage

pytestmark = pytest.mark.timeout(600)

SMALL = """
name: small
dataset: digits
model: convnet
augment: [erm, {zeta_mixup: {gamma: 2.8, num_mixed: 4}}]
seed: [0]
train: {epochs: 3, batch_size_per_worker: 64}
resources: {workers: 2}
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    yield path
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


def interrupted(environment: dict[str, str], small: Path, storage: Path, signal_sent: signal.Signals) -> Run:
    """A sweep that was ended in its first cell; the run of that cell."""
    process = start(environment, small, storage, "-o", "train.epochs=24")
    until_tracked(storage, 2, process)
    family = children_of(process.pid)
    if signal_sent in NOTICES:
        # To the whole job, as a closed terminal and batch systems do, and not once.
        for _ in range(2):
            for pid in (process.pid, *(pid for pid, _ in family)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal_sent)
    else:
        process.send_signal(signal_sent)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "interrupted: the running cells are saved" in output
    assert "interrupted: 0 of 2 cells done; the same command goes on" in output
    (run,) = cell_runs(storage, "small")
    assert run.info.status == "KILLED"
    assert 2 <= int(run.data.metrics["epoch"]) < 24
    time.sleep(3)
    assert not [pid for pid, _ in family if _is_alive(pid)]
    return run


@pytest.mark.slow
@pytest.mark.parametrize("signal_sent", [signal.SIGINT, *NOTICES], ids=lambda number: number.name)
def test_what_ends_a_sweep_leaves_nothing(
    environment: dict[str, str], small: Path, tmp_path: Path, signal_sent: signal.Signals
) -> None:
    interrupted(environment, small, tmp_path / "runs", signal_sent)


# A network whose next step, when it is wanted, takes longer than what Tune gives a slot that it ends.
SLOW_MODEL = """
import time
from pathlib import Path
from torch import nn

class Slow(nn.Module):
    def __init__(self, num_pixels, num_classes):
        super().__init__()
        self.linear = nn.Linear(num_pixels, num_classes)

    def forward(self, images):
        wanted = Path({wanted!r})
        if self.training and wanted.exists():
            wanted.unlink()
            time.sleep(25)
        return self.linear(images.flatten(1))

MODELS = {{"slow": lambda *, num_classes, num_channels, image_size: Slow(num_channels * image_size**2, num_classes)}}
"""


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_waits_until_a_slow_step_is_saved(
    environment: dict[str, str], small: Path, tmp_path: Path
) -> None:
    storage, wanted, plugin = tmp_path / "runs", tmp_path / "wanted", tmp_path / "slow.py"
    plugin.write_text(SLOW_MODEL.format(wanted=str(wanted)))
    options = ["-o", "model=slow", "-o", "augment=erm", "-o", "resources.workers=1", "-o", "train.epochs=5000"]
    options += ["-o", "train.batch_size_per_worker=2"]  # hardly at the end of an epoch
    process = start(environment, small, storage, "--plugin", str(plugin), *options)
    until_tracked(storage, 1, process)
    wanted.touch()
    until(lambda: not wanted.exists())
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 130, output
    (run,) = cell_runs(storage, "small")
    assert Storage(storage).cell(run.data.tags["zetasweep.cell"]).points()[0].step > 0, "in the middle of an epoch"
    assert "waiting for 1 cell to be saved" in output
    assert "not saved" not in output
    assert "interrupted: 0 of 1 cell done; the same command goes on" in output


@pytest.mark.slow
def test_a_sweep_goes_on_when_nobody_reads_what_it_prints(
    environment: dict[str, str], small: Path, tmp_path: Path
) -> None:
    process = start(environment, small, tmp_path / "runs")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(240) == 0
    assert [run.info.status for run in cell_runs(tmp_path / "runs", "small")] == ["FINISHED"] * 2


@pytest.mark.slow
@pytest.mark.timeout(600)  # three starts of a cluster's workers, a minute each and more on a busy machine
@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_what_dies_costs_no_row(
    environment: dict[str, str], small: Path, tmp_path: Path, signal_sent: signal.Signals
) -> None:
    """A sweep is interrupted, its newest checkpoint is damaged, it is run again, and then loses a worker."""
    storage = tmp_path / "runs"
    run = interrupted(environment, small, storage, signal_sent)
    reached = int(run.data.metrics["epoch"])
    newest = max(storage.glob("cells/*/[0-9]*.pt"))
    newest.write_bytes(newest.read_bytes()[:-99])

    process = start(environment, small, storage, "-o", "train.epochs=24")
    until_tracked(storage, reached + 5, process)
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    # Found by a worker, and shown to the user.
    (said,) = [line for line in output.splitlines() if str(newest) in line]
    assert "damaged" in said
    assert said.endswith("it is removed, and what was before it is used")
    finished = cell_runs(storage, "small")
    assert len(finished) == 2
    assert run.info.run_id in {each.info.run_id for each in finished}
    for each in finished:
        assert each.info.status == "FINISHED"
        assert_each_epoch_once(storage, each, epochs=24)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_cell_that_fails_harms_no_other(zetasweep: Zetasweep, call: Call, small: Path, tmp_path: Path) -> None:
    storage, data = tmp_path / "runs", tmp_path / "data"
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = data / "broken" / split / name
            folder.mkdir(parents=True)
            for number in range(120):
                (folder / f"{number}.png").write_bytes(b"this is no image")
    # What is looked at before anything starts is the first image's size.
    Image.new("RGB", (8, 8)).save(data / "broken" / "train" / "a" / "0.png")
    finished = zetasweep(
        *("run", small, "-o", f"storage={storage}", "-o", f"data_dir={data}", "-o", "augment=erm"),
        *("-o", "dataset=[{image_folder: {folder: broken, val_fraction: 0.25}}, digits]"),
    )
    assert finished.returncode == 1, finished.stdout
    assert str(data / "broken" / "train" / "a" / "1.png") in finished.stdout
    by_dataset = {run.data.params["dataset"]: run for run in cell_runs(storage, "small")}
    assert by_dataset["image_folder"].info.status == "FAILED"
    assert "1.png" in by_dataset["image_folder"].data.tags["zetasweep.reason"]
    assert by_dataset["digits"].info.status == "FINISHED"
    options = ["-o", f"storage={storage}", "-o", f"data_dir={data}", "-o", "augment=erm"]
    options += ["-o", "dataset=[{image_folder: {folder: broken, val_fraction: 0.25}}, digits]"]
    status = call("status", small, *options)
    assert status.code == 1
    assert "1.png" in status.out
