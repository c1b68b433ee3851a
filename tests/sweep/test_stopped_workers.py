"""A worker that is stopped where nothing is trained: the others wait for it, and somebody has to notice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from commands import ROOT
from mlflow import MlflowClient
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
WORKER = "ray::RayTrainWorker"
EXPERIMENT = """
name: stopped
dataset: {image_folder: {folder: own, image_size: 16}}
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
seed: 0
train: {epochs: 4, batch_size_per_worker: 32}
resources: {workers: 2, stall_timeout_s: 30, start_timeout_s: 180, max_failures: 100}
"""
NUM_IMAGES, SIDE = 400, 640


class Sweep:
    """A sweep of two cells, on images that take seconds to decode."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.storage, self.cache, self.output = folder / "runs", folder / "cache", folder / "output.txt"
        data = folder / "data" / "own"
        draw = np.random.default_rng(0)
        for label in ("a", "b"):
            for part, count in (("train", NUM_IMAGES // 2), ("val", 20), ("test", 20)):
                (data / part / label).mkdir(parents=True)
                for number in range(count):
                    small = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                    image = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.NEAREST)
                    image.save(data / part / label / f"{number}.png", compress_level=1)
        file = folder / "stopped.yaml"
        file.write_text(EXPERIMENT)
        options = (f"storage={self.storage}", f"data_dir={folder / 'data'}", f"cache.dir={self.cache}")
        command = [sys.executable, "-m", "orchestrator", "run", str(file)]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command + [part for option in options for part in ("-o", option)],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.family = psutil.Process(self.process.pid)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def workers(self) -> list[psutil.Process]:
        """Its training processes by age, from the moment on when they call themselves so."""
        found = []
        for process in self.family.children(recursive=True):
            try:
                if WORKER in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: process.create_time())

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = 900) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said}"
            assert time.monotonic() < deadline, f"no {what} in {timeout_s:.0f} s:\n{self.said}"
            time.sleep(0.03)

    def decoding(self) -> bool:
        return any(self.cache.glob(".building-*"))

    def finished_cells(self) -> int:
        return len(list(self.storage.glob("cells/*/best.pt")))


@pytest.fixture
def sweep(tmp_path: Path, environment: dict[str, str]) -> Iterator[Sweep]:
    # Ray puts Unix sockets there, whose paths may have 107 bytes: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        started = Sweep(tmp_path, environment | {"RAY_TMPDIR": folder})
        yield started
        with suppress(psutil.NoSuchProcess):
            for process in (*started.family.children(recursive=True), started.family):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        started.process.wait()
        shutil.rmtree(tmp_path, ignore_errors=True)


def stop(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGSTOP)


def as_soon_as_it_is_there(sweep: Sweep) -> psutil.Process:
    sweep.until(sweep.workers, "worker")
    return sweep.workers()[0]


def while_it_loads(sweep: Sweep) -> psutil.Process:
    """The driver has decoded the images; without what it made, a worker does so again."""
    sweep.until(lambda: "decoded" in sweep.said, "decoded images")
    shutil.rmtree(sweep.cache)
    sweep.until(sweep.decoding, "worker that decodes")
    (holder, *_) = [worker for worker in sweep.workers() if decodes(worker)]
    return holder


def decodes(worker: psutil.Process) -> bool:
    return any("images.npy" in file.path for file in worker.open_files()) or any(
        ".building-" in area.path for area in worker.memory_maps()
    )


def between_two_cells(sweep: Sweep) -> psutil.Process:
    sweep.until(sweep.finished_cells, "finished cell")
    return sweep.workers()[-1]


@pytest.mark.parametrize("moment", [as_soon_as_it_is_there, while_it_loads, between_two_cells])
def test_a_worker_that_is_stopped_is_replaced(sweep: Sweep, moment: Callable[[Sweep], psutil.Process]) -> None:
    stopped = moment(sweep)
    stop(stopped)
    # It starts within 180 s, or it is said.
    sweep.until(lambda: "no sign of life" in sweep.said, "word about it", timeout_s=300)
    assert sweep.process.wait(900) == 0, sweep.said
    assert not stopped.is_running()
    assert sweep.finished_cells() == 2
    client = MlflowClient(f"sqlite:///{sweep.storage / 'mlflow.db'}")
    found = client.get_experiment_by_name("stopped")
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.`zetasweep.kind` = 'cell'")
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    for run in runs:
        steps = [row.step for row in client.get_metric_history(run.info.run_id, "val/loss")]
        assert sorted(steps) == [1, 2, 3, 4]
