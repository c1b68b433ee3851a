"""The node of a sweep runs low on memory: Ray kills what runs there, slots among it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from report import Report
from sweeps import SAVES_OFTEN, TWO_CELLS, MakeSweep, Sweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
LOW = "the node low on memory"
# What the sweep takes is two gigabytes and a half; the rest is for what other programs take meanwhile.
ROOM_BYTES = 5e9
SAID = "its node ran low on memory"
# Takes memory until the machine has no more than that left, and holds it.
HOG = """
import sys, time, psutil
held = []
while psutil.virtual_memory().available > float(sys.argv[1]):
    held.append(b"x" * 2**27)
time.sleep(600)
"""


@contextmanager
def hog(leaving: float) -> Iterator[None]:
    """Have so many bytes of memory left at most, while in the block."""
    process = subprocess.Popen([sys.executable, "-c", HOG, str(leaving)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_slot_that_ray_kills_for_want_of_memory_is_made_anew(
    make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report
) -> None:
    memory = psutil.virtual_memory()
    if memory.available < ROOM_BYTES + 2e9:
        pytest.skip(f"only {memory.available / 1e9:.1f} GB of memory are free")
    leaving = memory.available - ROOM_BYTES
    threshold = {"RAY_memory_usage_threshold": f"{1 - leaving / memory.total:.4f}", "RAY_min_memory_free_bytes": "-1"}
    sweep = make_sweep(
        TWO_CELLS, SAVES_OFTEN, "resources.max_failures=1000", RAY_memory_monitor_refresh_ms="100", **threshold
    )
    sweep.start()
    for epoch in (3, 20):
        sweep.until_epoch(epoch)
        before = _said(sweep)
        since = time.time()
        with hog(leaving - 3e8):
            report.injected(LOW)
            sweep.until(lambda before=before: _said(sweep) > before, "word of the memory")
        sweep.until_epoch(sweep.finished_epochs() + 1)
        report.resumed(LOW, time.time() - since)
    assert sweep.wait() == 0, sweep.output
    assert "Traceback" not in sweep.output
    undisturbed.assert_same(sweep, report, [LOW])


def _said(sweep: Sweep) -> int:
    return sweep.output.count(SAID)
