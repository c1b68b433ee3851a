"""Whole sweeps on a real Ray cluster with real MLflow stores: the quickstart's promises."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from commands import ROOT, Call, Zetasweep
from sklearn.datasets import load_digits
from started_sweeps import assert_each_epoch_once, cell_runs, children_of, client_of, start, until_saved, workers_of

from orchestrator.column_names import SETTING
from orchestrator.data import load_dataset
from orchestrator.experiment.cells import Cell, expand
from orchestrator.experiment.load import load_experiment
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
