"""The disk of a sweep is full for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk import SmallDisk, small_disk
from report import Report
from sweeps import TWO_CELLS, MakeSweep, Sweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
FULL, RAYS_FULL = "disk full", "Ray's disk full"
# Several epochs' time: none may end in it.
STANDSTILL_S = 5.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=64) as disk:
        yield disk


def fill(disk: SmallDisk, sweep: Sweep) -> None:
    """Fill the disk until the sweep says so, and stands still."""
    before = len(complaints(sweep))

    def is_said() -> bool:
        disk.fill()
        return len(complaints(sweep)) > before

    sweep.until(is_said, "error about the disk")
    reached = sweep.finished_epochs()
    time.sleep(STANDSTILL_S)
    assert sweep.finished_epochs() == reached
    assert sweep.driver.poll() is None, sweep.output
    assert len(complaints(sweep)) == before + 1, sweep.output


def complaints(sweep: Sweep) -> list[str]:
    """Return the lines that say that the disk is full, and which."""
    return [line for line in sweep.output.splitlines() if str(sweep.storage) in line and "space" in line]


def test_a_sweep_waits_for_space(
    disk: SmallDisk, make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report
) -> None:
    sweep = make_sweep(TWO_CELLS, storage=disk.root / "runs")
    sweep.start()
    sweep.until_epoch(3)
    fill(disk, sweep)
    report.injected(FULL)
    since = time.time()
    disk.free()
    sweep.until_epoch(sweep.finished_epochs() + 2)
    report.resumed(FULL, time.time() - since)
    fill(disk, sweep)
    report.injected(FULL)
    sweep.interrupt()
    assert sweep.wait() == 130, sweep.output
    assert "Traceback" not in sweep.output
    disk.free()
    sweep.start()
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [FULL])


def test_a_full_disk_of_ray_ends_no_sweep(
    tmp_path: Path, make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report
) -> None:
    """It is another one where storage lies elsewhere; no line says it: nothing of the sweep's is written there."""
    with small_disk(tmp_path / "ray", megabytes=200) as disk:
        sweep = make_sweep(TWO_CELLS)
        sweep.environment["RAY_TMPDIR"] = str(disk.root)
        sweep.start()
        sweep.until_epoch(3)
        disk.fill()
        report.injected(RAYS_FULL)
        since = time.time()
        sweep.until_epoch(sweep.finished_epochs() + 2)
        report.resumed(RAYS_FULL, time.time() - since)
        assert sweep.wait() == 0, sweep.output
        undisturbed.assert_same(sweep, report, [RAYS_FULL])
