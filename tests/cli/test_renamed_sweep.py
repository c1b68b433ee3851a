"""A sweep under another name has the cells of the first one, in the MLflow experiment of that one."""

from __future__ import annotations

from pathlib import Path

from commands import Call
from mlflow import MlflowClient
from tracked import FACTS, RESULT, epoch, save_weights

from orchestrator.experiment.cells import expand
from orchestrator.experiment.load import load_experiment
from orchestrator.records import Opened, Started
from orchestrator.storage import journal

EXPERIMENT = """
name: first
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
train: {epochs: 2}
"""


def test_the_new_experiment_is_complete(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    cells = expand(load_experiment(file))
    for cell in cells:
        folder = tmp_path / "runs" / "cells" / cell.key
        save_weights(folder)
        journal.begin(folder)
        for event in (Opened(), Started(FACTS), epoch(1), epoch(2), RESULT):
            journal.append(folder, event)
    assert call("sync", file).code == 0
    home = call("status", file).out
    assert "experiment" not in home, "all is where it belongs"

    renamed = (file, "-o", "name=second")
    for command in ("status", "plan"):
        shown = call(command, *renamed).out
        assert "2 runs of these cells in MLflow's experiment first, by a sweep that had them before" in shown
        assert all(f"{cell.label} (cell {cell.key})" in shown for cell in cells)
    answer = call("run", *renamed)
    assert answer.code == 0, answer.err
    assert "nothing is missing: all 2 cells are done" in answer.out
    assert "MLflow: 2 links made" in answer.out
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    known = client.get_experiment_by_name("second")
    assert known is not None
    sweep, *links = sorted(
        client.search_runs([known.experiment_id]), key=lambda run: run.data.tags["zetasweep.kind"], reverse=True
    )
    assert (sweep.data.tags["zetasweep.kind"], sweep.info.status) == ("sweep", "FINISHED")
    assert {run.data.tags["zetasweep.cell"] for run in links} == {cell.key for cell in cells}
    assert [run.data.metrics["test/error"] for run in links] == [RESULT.metrics["test/error"]] * 2
    assert "link" not in call("run", *renamed).out
    assert call("doctor", *renamed).out.count("more than one run") == 0

    # Where nobody may make it, the table is complete all the same.
    client.delete_experiment(known.experiment_id)
    answer = call("run", *renamed)
    assert answer.code == 0
    assert "MLflow: no models, links or description: tracking.experiment = second: it was deleted" in answer.out
