"""Checkpoints are damaged or go missing, and the sweep needs them."""

from __future__ import annotations

from random import Random

import pytest
from report import Report
from strikes import flip_bit, remove, strike, truncate
from sweeps import TWO_CELLS, MakeSweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
ONE = ["newest checkpoint truncated", "newest checkpoint with a flipped bit", "newest checkpoint missing"]
ALL = ["all checkpoints truncated", "all checkpoints missing"]


def test_one_that_a_restarted_worker_needs(
    make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    sweep = make_sweep(TWO_CELLS, "resources.max_failures=1000")
    sweep.start()
    faults = ONE + ALL + ONE
    # The second cell does not start before the first has all its epochs.
    epochs = [3, 10, 17, 24, 44, 52, 60, 68]
    for fault, epoch in zip(faults, epochs, strict=True):
        sweep.until_epoch(epoch)
        strike(fault, sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, faults)


def test_one_between_two_runs(make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report) -> None:
    sweep = make_sweep(TWO_CELLS)
    for fault, damage, epoch in zip(ONE, (truncate, flip_bit, remove), (5, 15, 25), strict=True):
        sweep.start()
        sweep.until_epoch(epoch)
        sweep.interrupt()
        assert sweep.wait() == 130, sweep.output
        damage(sweep.points()[0], random)
        report.injected(fault)
    sweep.start()
    sweep.until_epoch(50)
    sweep.interrupt()
    assert sweep.wait() == 130, sweep.output
    for path in sweep.points():
        remove(path, random)
    report.injected(ALL[1])
    sweep.start()
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [*ONE, ALL[1]])
