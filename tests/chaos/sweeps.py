"""A sweep as a process of its own, which can be watched, ended and run again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil
from commands import ROOT
from mlflow import MlflowClient
from processes import Family
from sweep_results import BEST, KEPT, Results, read_results, sweep_runs

from orchestrator.experiment.cells import expand
from orchestrator.experiment.load import load_experiment
from orchestrator.objects import Address
from orchestrator.storage.cell_folder import CellFolder

NAME = "chaos"
EXPERIMENT = """
name: chaos
dataset: digits
model: convnet
augment: [{zeta_mixup: {gamma: 2.8, num_mixed: 4}}, {mixup: {alpha: 1.0}}, {cutmix: {alpha: 1.0}}, erm]
seed: [0, 1]
train: {epochs: 40, batch_size_per_worker: 64}
resources: {workers: 2}
"""
# Two cells of it: what most scenarios run.
TWO_CELLS = ("augment=[{zeta_mixup: {gamma: 2.8, num_mixed: 4}}, erm]", "seed=0")
# A training is saved with its first step, then once a second: what is killed goes on in the middle of an epoch, and how
# long until a checkpoint appears is how long until the next step.
SAVES_OFTEN = "resources.checkpoint_every_s=0"
NUM_WORKERS = 2
WORKER, MAILBOX, CONTROLLER = "ray::RayTrainWorker", "ray::Mailbox", "ray::TrainController"
CLEANER = "ray::PlacementGroupCleaner"
# With resources, Tune wraps the class, and names the actor after the wrapper.
SLOT = ("ray::Slot", "ray::ResourceTrainable")
ACTORS = (WORKER, MAILBOX, CONTROLLER, *SLOT)
RAYLET, GCS = "/raylet/raylet ", "gcs_server"
METRICS = ("test/error", "val/loss")
POLL_S = 0.05
# On two cores the workers take half a minute to start, while others use the cores, too, several.
PATIENCE_S = 300.0
EXIT_GRACE_S = 3.0
# Ray's agents take a minute to notice that their driver was killed, which may be longer than the next one takes.
ORPHANS_GO_S = 120.0


class Sweep:
    """One experiment on one storage: started, watched, ended and run again with the same command.

    Args:
        file: The experiment.
        storage: Where its results go.
        environment: Of its processes.
        scratch: A folder for what it prints.
        choice: The ``KEY=VALUE`` that say which cells it consists of.
        settings: Those that say how they are run.

    Attributes:
        place: Where its results go.
        family: The driver's processes.
        hosts: Those of a cluster that it joins; they outlive it.
        started_at: When the present or last run was started, Unix seconds.
    """

    def __init__(
        self,
        file: Path,
        storage: Path | Address,
        environment: Mapping[str, str],
        scratch: Path,
        *,
        choice: Sequence[str] = (),
        settings: Sequence[str] = (),
    ) -> None:
        self.place, self.environment = storage, dict(environment)
        self.family, self.hosts = Family(), Family()
        self._file, self._scratch, self._choice = file, scratch, choice
        self._options = (f"storage={storage}", *choice, *settings)
        experiment = load_experiment(file, self._options)
        self.keys = [cell.key for cell in expand(experiment)]
        self.epochs = experiment.train[0].epochs
        self.uri = experiment.tracking.uri or f"sqlite:///{self.storage / 'mlflow.db'}"
        self._process: subprocess.Popen[str] | None = None
        self._left_orphans = False
        self._outputs: list[Path] = []
        self.started_at = 0.0

    @property
    def storage(self) -> Path:
        """The folder of its results."""
        assert isinstance(self.place, Path), "it has none"
        return self.place

    @property
    def driver(self) -> subprocess.Popen[str]:
        """The process of the present or last run."""
        assert self._process is not None, "it was not started"
        return self._process

    @property
    def output(self) -> str:
        """What the present or last run printed so far."""
        return self._outputs[-1].read_text(encoding="utf-8", errors="replace")

    @property
    def cells_dir(self) -> Path:
        """Where the checkpoints are."""
        return self.storage / "cells"

    def start(self, **variables: str) -> None:
        """Run the command, in a process group of its own, as a shell does."""
        name = Path(str(self.place)).name
        self._left_orphans |= self._process is not None and self._process.returncode == -signal.SIGKILL
        self._outputs.append(self._scratch / f"output-{os.getpid()}-{len(self._outputs)}-{name}.txt")
        with self._outputs[-1].open("w", encoding="utf-8") as output:
            self.started_at = time.time()
            self._process = self._popen("run", output, variables)
        self.family.add(self._process.pid)

    def ask(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same experiment, to its end."""
        line = self._command(command, *arguments)
        return subprocess.run(line, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300)

    def wait(self) -> int:
        """Wait for the end of the run and return its exit code; all that it started is gone soon after."""
        code = self.driver.wait(2 * PATIENCE_S)
        deadline = time.monotonic() + (ORPHANS_GO_S if self._left_orphans else EXIT_GRACE_S)
        while (left := self.family.alive() + self.hosts.titled(*ACTORS)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        assert left == [], self.output
        return code

    def interrupt(self) -> None:
        """Press Ctrl-C: the signal goes to the whole group."""
        os.killpg(self.driver.pid, signal.SIGINT)

    def until(self, condition: Callable[[], bool], what: str, *, every_s: float = POLL_S) -> None:
        """Wait until `condition` holds.

        Raises:
            AssertionError: The run ended before, or it takes for ever.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.driver.poll() is None, f"the sweep ended before {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {what} in {PATIENCE_S:.0f} s:\n{self.output}"
            time.sleep(every_s)

    def until_epoch(self, number: int) -> None:
        """Wait until the cells have finished `number` epochs, all together."""
        self.until(lambda: self.finished_epochs() >= number, f"epoch {number}")

    def finished_epochs(self) -> int:
        """Return how many epochs the cells have finished, all together, by their checkpoints."""
        return sum(map(self._finished_epochs, self.keys))

    def finished_cells(self) -> int:
        """Return how many cells have left their best weights."""
        return sum((self.cells_dir / key / BEST).exists() for key in self.keys)

    def workers(self) -> list[psutil.Process]:
        """Return its training processes."""
        return self.actors(WORKER)

    def actors(self, *titles: str) -> list[psutil.Process]:
        """Return its processes of these titles."""
        return self.family.titled(*titles) + self.hosts.titled(*titles)

    def points(self) -> list[Path]:
        """Return what the cells could go on from, the newest first."""
        found = [path for key in self.keys for path in self._points(key)]
        return sorted(found, key=_modified, reverse=True)

    def seconds_to_resume(self, since: float, before: list[psutil.Process]) -> float | None:
        """Wait until new workers have saved something and return how long that took; None if nothing was left to do.

        They save after an epoch; with `SAVES_OFTEN` after their first step.

        Args:
            since: When the fault happened, Unix seconds.
            before: The workers at that time.
        """
        started = self._until_new_workers(before)
        while started is not None and self.driver.poll() is None:
            newer = [moment for moment in map(_modified, self.points()) if moment > started]
            if newer:
                return min(newer) - since
            assert time.time() < started + PATIENCE_S, self.output
            time.sleep(POLL_S)
        return None

    def results(self) -> Results:
        """Return what its cells left."""
        return read_results(self.uri, NAME, self.keys, cells_dir=self.cells_dir)

    def tables(self) -> list[str]:
        """Return the comparison by some metrics, as CSV without the ids of runs, which come last in a line."""
        answers = [self.ask("compare", "--format", "csv", "--metric", metric) for metric in METRICS]
        assert [answer.returncode for answer in answers] == [0] * len(METRICS), answers
        return [re.sub(r",[^,\n]*$", "", answer.stdout, flags=re.MULTILINE) for answer in answers]

    def at(self, storage: Path) -> Sweep:
        """Return the same cells on another storage, with usual settings."""
        return Sweep(self._file, storage, self.environment, self._scratch, choice=self._choice)

    def assert_one_parent(self) -> None:
        """Check that the sweep itself has one run in MLflow, and that it is finished."""
        assert [run.info.status for run in sweep_runs(MlflowClient(self.uri), NAME)] == ["FINISHED"]

    def assert_tidy(self) -> None:
        """Check that nothing is left but results."""
        assert list(self.storage.glob("ray-*")) == []
        assert list(self.storage.rglob("*.tmp")) == []
        for key in self.keys:
            assert sorted(path.name for path in (self.cells_dir / key).iterdir()) == KEPT, key

    def close(self) -> None:
        """End what is left of it."""
        self.family.kill()
        if self._process is not None:
            self._process.wait()

    def _until_new_workers(self, before: list[psutil.Process]) -> float | None:
        """Wait until a whole group of workers is there, none of them one of `before`; return when, or None."""
        deadline = time.monotonic() + PATIENCE_S
        while self.driver.poll() is None:
            present = self.workers()
            if len(present) >= NUM_WORKERS and not set(present) & set(before):
                return time.time()
            assert time.monotonic() < deadline, f"no new workers:\n{self.output}"
            time.sleep(4 * POLL_S)
        return None

    def _finished_epochs(self, key: str) -> int:
        points = CellFolder(self.cells_dir / key).points()
        if points:
            return points[0].epoch
        return self.epochs if (self.cells_dir / key / BEST).exists() else 0

    def _points(self, key: str) -> list[Path]:
        folder = self.cells_dir / key
        return [folder / point.file_name for point in CellFolder(folder).points()]

    def _popen(self, command: str, output: IO[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command(command),
            cwd=ROOT,
            env={**self.environment, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def _command(self, command: str, *arguments: str) -> list[str]:
        options = [part for option in self._options for part in ("-o", option)]
        return [sys.executable, "-m", "orchestrator", command, str(self._file), *arguments, *options]


MakeSweep = Callable[..., Sweep]


def _modified(path: Path) -> float:
    """Return when the file was written, Unix seconds; 0 if it is gone by now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
