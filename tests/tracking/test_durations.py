"""When finished cells were where: what MLflow says of it."""

from __future__ import annotations

import socket
from pathlib import Path

from sweep_samples import MIXUP, make_cells
from tracked import finish

from orchestrator.costs import finished_by_kind, kind_of
from orchestrator.experiment import Cell, Resources
from orchestrator.tracking import read_durations
from orchestrator.tracking.tracker import Tracker


def test_a_finished_cell_says_how_long_others_of_its_kind_take(
    tracker: Tracker, cells: list[Cell], tmp_path: Path
) -> None:
    finish(tracker, cells[1], tmp_path)
    run = tracker.cell_runs(cells)[cells[1].key]
    assert (run.first_step_ms, run.ended_ms) == (500, 3000)
    (other_seed,) = make_cells(MIXUP, seeds=(9,))
    found = read_durations(tracker.store, {kind_of(other_seed).training_id})
    (cell,) = found.cells
    assert (cell.device, cell.host) == ("cpu", socket.gethostname())
    assert [(each.epoch, each.timestamp_ms) for each in cell.epochs] == [(1, 1000), (2, 2000)]
    assert cell.layout == Resources(slots=1).layout
    assert cell.num_images == 15
    duration, count = finished_by_kind(found.cells)[kind_of(other_seed)]
    # Each epoch says that it took 0.75 s; 0.4 s before, and the test 1 s.
    assert (duration.epoch_s, duration.once_s, count) == (0.75, 1.4, 1)
    assert found.around_s is None  # the sweep is still open
    assert read_durations(tracker.store, {"another"}).cells == []


def test_a_complete_sweep_says_what_it_takes_beside_its_cells(
    tracker: Tracker, cells: list[Cell], tmp_path: Path
) -> None:
    finish(tracker, cells[0], tmp_path)
    sweep_id = tracker.sweep.run_id
    tracker.sweep.close(complete=True)
    info = tracker.store.client.get_run(sweep_id).info
    around_s = read_durations(tracker.store, {kind_of(cells[0]).training_id}).around_s
    assert around_s == max(0, info.end_time - info.start_time - 2500) / 1000
