"""A sweep of very many cells: what its driver holds does not grow with them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import pytest
from report import Report
from sweep_results import KEPT
from sweeps import MakeSweep, Sweep

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
NUM_CELLS = 1000
# Everything was done often by then, and all caches are full.
WARM = 50
# How many cells' time a figure is taken over.
WINDOW = 20
INTERVAL_S = 1.0
MAX_GROWTH = 1.10
# What comes and goes: connections, files that are being copied, a worker that Ray keeps ready.
SLACK = 3


@dataclass(frozen=True)
class Sample:
    """What was there when `cells` cells were done."""

    cells: int
    resident_bytes: int
    open_files: int
    processes: int


def test_nothing_grows(make_sweep: MakeSweep, report: Report) -> None:
    seeds = f"seed={[*range(NUM_CELLS)]}"
    choice = ("augment=erm", "dataset={digits: {num_train: 256}}", "train.epochs=1", seeds)
    sweep = make_sweep(choice, "resources.workers=1")
    sweep.start()
    samples = watch(sweep)
    assert sweep.wait() == 0, sweep.output
    sweep.assert_tidy()
    warm = [sample for sample in samples if WARM <= sample.cells < WARM + WINDOW]
    last = [sample for sample in samples if NUM_CELLS - WINDOW <= sample.cells < NUM_CELLS]
    report.notes.append(f"{NUM_CELLS} cells: after {WARM} {median(warm)}, at the end {median(last)}")
    assert median(last).resident_bytes <= MAX_GROWTH * median(warm).resident_bytes
    assert median(last).open_files <= median(warm).open_files + SLACK
    assert median(last).processes <= median(warm).processes + SLACK


def watch(sweep: Sweep) -> list[Sample]:
    """Look at the sweep again and again until all cells are done."""
    samples = []
    while (cells := num_done(sweep)) < NUM_CELLS and sweep.driver.poll() is None:
        members = sweep.family.alive()
        driver = next((member for member in members if member.pid == sweep.driver.pid), None)
        if driver is not None:
            samples.append(sample_of(driver, cells, len(members)))
        time.sleep(INTERVAL_S)
    return samples


def num_done(sweep: Sweep) -> int:
    """Return how many cells are finished, and in MLflow: then nothing else is kept of them."""
    folders = (sweep.cells_dir / key for key in sweep.keys)
    return sum(folder.is_dir() and sorted(path.name for path in folder.iterdir()) == KEPT for folder in folders)


def sample_of(driver: psutil.Process, cells: int, processes: int) -> Sample:
    return Sample(cells, driver.memory_info().rss, driver.num_fds(), processes)


def median(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure."""
    assert samples, "no look fell into this part"
    columns = zip(*((s.cells, s.resident_bytes, s.open_files, s.processes) for s in samples), strict=True)
    return Sample(*(round(statistics.median(column)) for column in columns))
