"""What a report takes from MLflow beside the runs of the cells, and where it is put there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sweep_samples import make_run
from tracked import epoch

from orchestrator.experiment.cells import Cell
from orchestrator.experiment.settings import Experiment
from orchestrator.records import EPOCH_S
from orchestrator.tracking import Tracker, read_environment, read_epochs, run_links, send_report


def test_epochs_are_read_as_they_were_told(tracker: Tracker, cells: list[Cell]) -> None:
    tracker.open_cell(cells[0], None, sweep="sample")
    for number in (1, 2):
        tracker.log_epoch(cells[0], epoch(number))
    run_id = tracker.cell_runs(cells)[cells[0].key].run_id
    assert run_id is not None
    assert read_epochs(tracker.store, run_id, ["val/error", EPOCH_S]) == [epoch(1), epoch(2)]
    assert read_epochs(tracker.store, run_id, ["val/loss"]) == []


def test_a_report_goes_to_the_run_of_its_sweep(tracker: Tracker, experiment: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "report.html").write_text("a page")
    run_id = send_report(tracker.store, experiment, folder)
    assert run_id == tracker.sweep.run_id
    (item,) = tracker.store.client.list_artifacts(run_id, "report")
    assert item.path == "report/report.html"
    assert set(read_environment(tracker.store, experiment)) == {"platform", "versions"}
    other = experiment.model_copy(update={"name": "other"})
    assert send_report(tracker.store, other, folder) is None
    assert read_environment(tracker.store, other) == {}


def test_runs_of_a_server_have_an_address(cells: list[Cell]) -> None:
    run = replace(make_run(cells[0], {}), run_id="abc", experiment="mine")
    server: Any = SimpleNamespace(
        is_server=True, shown_uri="http://host:5000/", experiments=lambda: {"7": "mine"}, answering=nullcontext
    )
    assert run_links(server)(run) == "http://host:5000/#/experiments/7/runs/abc"
    assert run_links(server)(replace(run, run_id=None)) is None
    database: Any = SimpleNamespace(is_server=False)
    assert run_links(database)(run) is None
