"""Whole sweeps on a real Ray cluster with real MLflow stores: the quickstart's promises."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import mlflow
import numpy as np
import pytest
import torch
from commands import ROOT, Call, Zetasweep, until
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from ray.tune.experiment import Trial
from sklearn.datasets import load_digits
from sweep_samples import ERM, make_cells

from orchestrator.column_names import SETTING
from orchestrator.data import load_dataset
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
from orchestrator.experiment.resources import Resources
from orchestrator.racing import Course, to_the_end
from orchestrator.records import EpochResult, Failed, Opened
from orchestrator.signals import NOTICES
from orchestrator.storage import Storage
from orchestrator.sweep.giving import Giving
from orchestrator.sweep.listener import Listener
from orchestrator.sweep.progress import Progress
from orchestrator.sweep.starting import Starting
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.names import (
    ANSWER_METRICS,
    CELL_TAGS,
    EPOCH_METRICS,
    FINAL_METRICS,
    KIND,
    NOTE,
    SWEEP_TAGS,
)
from tools.reference.yaml_keys import param_names

# A sweep of 18 cells takes two minutes, and more beside other tests.
pytestmark = pytest.mark.timeout(600)

QUICKSTART = ROOT / "experiments" / "quickstart.yaml"
EPOCHS = 5
EPOCH = EpochResult(epoch=1, metrics={}, timestamp_ms=1)
SMALL = """
name: small
dataset: digits
model: convnet
augment: [erm, {zeta_mixup: {gamma: 2.8, num_mixed: 4}}]
seed: [0]
train: {epochs: 3, batch_size_per_worker: 64}
resources: {workers: 2}
"""


def client_of(storage: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")


def cell_runs(storage: Path, experiment: str) -> list[Run]:
    client = client_of(storage)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], "tags.`zetasweep.kind` = 'cell'", max_results=1000))


def assert_each_epoch_once(storage: Path, run: Run, *, epochs: int) -> None:
    client = client_of(storage)
    names = {name for name in run.data.metrics if name.startswith(("train/", "val/"))} | {"epoch"}
    assert {"train/loss", "val/error", "val/loss", "val/auroc", "val/ece", "epoch"} <= names
    for name in names:
        steps = [row.step for row in client.get_metric_history(run.info.run_id, name)]
        assert sorted(steps) == list(range(1, epochs + 1)), name
    for name in set(run.data.metrics) - names:
        assert len(client.get_metric_history(run.info.run_id, name)) == 1, name


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart")


@pytest.fixture(scope="module")
def quickstart(zetasweep: Zetasweep, storage: Path) -> subprocess.CompletedProcess[str]:
    """The quickstart, run once for all tests of this module that look at it."""
    finished = zetasweep("run", QUICKSTART, "-o", f"storage={storage}")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return expand(load_experiment(QUICKSTART))


def test_quickstart_ends_with_the_comparison(quickstart: subprocess.CompletedProcess[str], storage: Path) -> None:
    assert "[18/18 cells" in quickstart.stdout
    table = quickstart.stdout[quickstart.stdout.index("test/error") :]
    for row in ("erm", "mixup(alpha=1.0)", "zeta_mixup(gamma=2.0, num_mixed=4)", "zeta_mixup(gamma=2.8, num_mixed=64)"):
        assert row in table
    assert table.count("n=3") >= 6
    assert "≈" in table
    assert "this table sees differences from" in table
    assert table.splitlines()[-1] == f"look at it: zetasweep ui {QUICKSTART} -o storage={storage}"
    assert "Traceback" not in quickstart.stdout + quickstart.stderr


@pytest.mark.usefixtures("quickstart")
def test_mlflow_has_nothing_that_the_reference_lacks(storage: Path) -> None:
    runs = client_of(storage).search_runs([cell_runs(storage, "quickstart")[0].info.experiment_id], max_results=1000)
    params = {*param_names()}
    names = EPOCH_METRICS | FINAL_METRICS | ANSWER_METRICS
    metrics = {re.sub(r"(METRIC|CLASS|COLUMN/ROW.*)$", "", name) for name in names}
    for run in runs:
        documented = SWEEP_TAGS if run.data.tags[KIND] == "sweep" else CELL_TAGS
        ours = {name for name in run.data.tags if name.startswith("zetasweep.") or name in (NOTE, SETTING)}
        assert ours <= documented.keys()
        assert run.data.params.keys() <= params
        assert all(name.startswith(tuple(metrics)) for name in run.data.metrics)


def test_noise_of_the_libraries_stays_in_the_log(quickstart: subprocess.CompletedProcess[str], storage: Path) -> None:
    (log,) = (storage / "logs").glob("*.log")
    assert f"log: {log}" in quickstart.stdout
    assert "Started a local Ray instance" in log.read_text()
    first, *later = quickstart.stderr.splitlines()
    assert first.endswith(" run: loading PyTorch, which takes some seconds")
    assert [line for line in later if not line.startswith("waiting for ")] == []
    assert "INFO" not in quickstart.stdout


@pytest.mark.usefixtures("quickstart")
def test_mlflow_holds_18_finished_runs_under_one_parent(storage: Path, cells: list[Cell]) -> None:
    client = client_of(storage)
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = [run for run in runs if run.data.tags["zetasweep.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags["zetasweep.kind"] == "cell"]
    assert len(runs) == 19
    assert len(children) == 18
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert "| erm | ≈ " in parent.data.tags[NOTE]
    assert len({run.data.tags[SETTING] for run in children}) == 6
    assert {run.data.tags["zetasweep.cell"] for run in children} == {cell.key for cell in cells}
    for run in children:
        assert_each_epoch_once(storage, run, epochs=EPOCHS)


@pytest.mark.usefixtures("quickstart")
def test_runs_can_be_searched_by_the_names_of_the_experiment_file(storage: Path) -> None:
    client = client_of(storage)
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    query = "params.augment = 'zeta_mixup' and params.gamma = '2.8' and params.num_mixed = '4' and params.seed = '1'"
    (run,) = client.search_runs([experiment.experiment_id], query)
    assert run.data.params["dataset"] == "digits"
    assert run.data.params["train.lr"] == "0.1"
    assert run.data.tags["zetasweep.backend"] == "torch"
    assert run.data.tags["zetasweep.world_size"] == "2"
    assert {item.path for item in client.list_artifacts(run.info.run_id)} >= {"cell.json", "environment.json"}
    assert {item.path for item in client.list_artifacts(run.info.run_id, "audit")} == {
        "audit/audit.json",
        "audit/panel.png",
        "audit/panel.json",
    }
    assert 1.2 < run.data.metrics["audit/effective_num_samples"] < 4
    assert run.data.tags["zetasweep.below_gamma_min"] == "false"
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"digits-train", "digits-val", "digits-test"}


@pytest.mark.usefixtures("quickstart")
def test_logged_model_gives_the_logged_test_accuracy(storage: Path) -> None:
    runs = cell_runs(storage, "quickstart")
    with_model = [run for run in runs if "zetasweep.model_uri" in run.data.tags]
    for run in with_model:
        alike = [other for other in runs if other.data.tags[SETTING] == run.data.tags[SETTING]]
        assert run.data.metrics["best/error"] == min(other.data.metrics["best/error"] for other in alike)
    assert len(with_model) == len({run.data.tags[SETTING] for run in with_model}) == 6
    run = with_model[0]
    mlflow.set_tracking_uri(f"sqlite:///{storage / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model(run.data.tags["zetasweep.model_uri"])
    digits = load_dataset("digits", storage)
    predicted = model.predict(digits.images[digits.test.rows].numpy())["class"]
    named = np.array(digits.class_names)[digits.test.labels.numpy()]
    assert (predicted == named).mean() == pytest.approx(run.data.metrics["test/accuracy"])
    assert len(np.unique(predicted)) == len(np.unique(load_digits().target))


@pytest.mark.usefixtures("quickstart")
def test_finished_cells_keep_only_best_weights_and_predictions(storage: Path, cells: list[Cell]) -> None:
    for cell in cells:
        kept = sorted(path.name for path in (storage / "cells" / cell.key).iterdir())
        assert kept == ["best.pt", "predictions.npz"]
    assert not list(storage.glob("ray-*"))


@pytest.mark.usefixtures("quickstart")
def test_the_same_command_again_does_nothing(zetasweep: Zetasweep, storage: Path) -> None:
    before = {run.info.run_id: run.info.end_time for run in cell_runs(storage, "quickstart")}
    again = zetasweep("run", QUICKSTART, "-o", f"storage={storage}")
    assert again.returncode == 0
    assert "nothing is missing: all 18 cells are done" in again.stdout
    assert {run.info.run_id: run.info.end_time for run in cell_runs(storage, "quickstart")} == before


@pytest.mark.usefixtures("quickstart")
def test_finished_cells_are_recognised_under_another_name(call: Call, storage: Path) -> None:
    again = call("run", QUICKSTART, "-o", f"storage={storage}", "-o", "name=renamed")
    assert again.code == 0
    assert "nothing is missing" in again.out


@pytest.mark.usefixtures("quickstart")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare", "--format", "markdown"], "| erm |"),
        (
            ["compare", "--format", "csv", "--metric", "val/error"],
            "dataset,model,row,augment,alpha,gamma,",
        ),
        (["compare", "--format", "latex"], r"\begin{tabular}"),
        (["status"], "18 cells: 18 done"),
        (["plan"], "18 done, 0 to run"),
        (["select", "--register", "digits-best"], "registered as digits-best, version 1"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_reading_commands(call: Call, storage: Path, arguments: list[str], expected: str) -> None:
    command, *rest = arguments
    answer = call(command, QUICKSTART, *rest, "-o", f"storage={storage}")
    assert answer.code == 0, answer.err
    assert expected in answer.out
    # The remarks of a CSV file go past it.
    assert answer.err.startswith("digits / convnet: ") if "csv" in rest else answer.err == ""


def start(environment: dict[str, str], experiment: Path, storage: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", str(experiment), "-o", f"storage={storage}", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests may have them ignore SIGHUP, by nohup.
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in NOTICES] and None,
    )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    yield path
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


def until_tracked(storage: Path, epoch: int, process: subprocess.Popen[str], timeout_s: float = 250) -> Run:
    """Wait until a cell has that epoch in MLflow, and return its run."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        if (storage / "cells").exists():
            for run in cell_runs(storage, "small"):
                if run.data.metrics.get("epoch", 0) >= epoch:
                    return run
        time.sleep(0.2)
    raise AssertionError(f"no cell reached epoch {epoch} in {timeout_s} s")


def children_of(pid: int) -> list[tuple[int, str]]:
    """All descendants of a process, with their titles."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    found: list[tuple[int, str]] = []
    parents = {pid}
    while parents:
        level = [(int(row[0]), row[2]) for row in rows if int(row[1]) in parents]
        found += level
        parents = {child for child, _ in level}
    return found


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


@pytest.mark.usefixtures("quickstart")
@pytest.mark.timeout(600)  # the workers start twice
def test_a_further_seed_runs_exactly_six_more_cells_and_a_worker_that_dies_costs_nothing(
    environment: dict[str, str], storage: Path, tmp_path: Path
) -> None:
    """The fast part of the chaos suite: the cell that was hit has the numbers of the plain loop."""
    before = {run.info.run_id for run in cell_runs(storage, "quickstart")}
    seeds = "seed=[0, 1, 2, 3]"
    new = {cell.key for cell in expand(load_experiment(QUICKSTART, [seeds])) if cell.seed == 3}
    process = start(environment, QUICKSTART, storage, "-o", seeds)
    hit = until_saved(storage, new, process)
    assert not [title for _, title in children_of(process.pid) if "DatasetManager" in title], "Ray Data is not used"
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert "18 done, 6 to run" in output
    after = cell_runs(storage, "quickstart")
    assert len(after) == 24
    assert {run.data.tags["zetasweep.cell"] for run in after if run.info.run_id not in before} == new
    assert len({run.data.tags["mlflow.parentRunId"] for run in after}) == 1
    for run in after:
        assert_each_epoch_once(storage, run, epochs=EPOCHS)

    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517"]
    command += ["-m", "orchestrator.train", str(QUICKSTART), "--cell", hit, "-o", seeds, "-o", f"storage={tmp_path}"]
    plain = subprocess.run(
        command, cwd=ROOT, env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert plain.returncode == 0, plain.stderr
    told = torch.load(tmp_path / "cells" / hit / "result.pt", weights_only=True)
    (run,) = [run for run in after if run.data.tags["zetasweep.cell"] == hit]
    for entry in told["history"]:
        values = {row.step: row.value for row in client_of(storage).get_metric_history(run.info.run_id, "val/loss")}
        assert values[entry["epoch"]] == entry["metrics"]["val/loss"]
    for name, value in told["result"]["metrics"].items():
        assert run.data.metrics[name] == value, name
    alone = torch.load(tmp_path / "cells" / hit / "best.pt", weights_only=True)["model"]
    swept = torch.load(storage / "cells" / hit / "best.pt", weights_only=True)["model"]
    assert alone.keys() == swept.keys()
    for name in alone:
        assert torch.equal(alone[name], swept[name]), name


def until_saved(storage: Path, keys: set[str], process: subprocess.Popen[str], timeout_s: float = 250) -> str:
    """Wait until one of these cells has something to go on from, and return its key."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        for key in keys:
            if list((storage / "cells" / key).glob("0*.pt")):
                return key
        time.sleep(0.05)
    raise AssertionError(f"no cell was saved in {timeout_s} s")


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    workers = [pid for pid, title in children_of(process.pid) if "RayTrainWorker" in title]
    assert len(workers) == 2
    return workers


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


def listening(cell: Cell, delivery: Delivery, starting: Starting) -> Listener:
    course = Course({}, to_the_end([cell]))
    giving = Giving(course, Mock(), starting)
    return Listener(course, giving, delivery, Mock(spec=Progress), starting, resources=Resources())


def test_a_cell_whose_slot_dies_while_it_is_made_is_started_before_it_fails() -> None:
    """E.g. on a node that lacks the package: Tune says that the trial failed, and never that it started."""
    (cell,) = make_cells(ERM, seeds=(0,))
    delivery, trial = Mock(spec=Delivery), Mock(spec=Trial)
    trial.trial_id = "trial"
    trial.error_file = None
    trial.get_error.return_value = "no module named orchestrator"
    listener = listening(cell, delivery, Starting(lambda: 1, Resources()))
    listener.on_trial_error(0, [trial], trial)
    assert [type(call.args[1]) for call in delivery.tell.call_args_list] == [Opened, Failed]
    assert listener.failed == {cell.key}
    listener.interrupt_the_rest()
    assert len(delivery.method_calls) == 2


def test_a_cell_whose_workers_start_anew_waits_for_them_as_at_first() -> None:
    """E.g. their node is gone, and there is no room for others."""
    (cell,) = make_cells(ERM, seeds=(0,))
    starting, trial = Starting(lambda: 1, Resources()), Mock(spec=Trial)
    trial.trial_id = "trial"
    listener = listening(cell, Mock(spec=Delivery), starting)
    listener.on_trial_start(0, [trial], trial)
    said = []
    for event, begins in ((EPOCH, False), (None, False), (None, True), (EPOCH, False)):
        listener.on_trial_result(0, [trial], trial, {"event": event, "starting": begins, "waits": False})
        said.append(starting._alive[cell.key])
    assert said == [True, True, False, True]
