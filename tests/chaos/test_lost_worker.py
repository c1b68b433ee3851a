"""The fast part of the suite: a sweep loses a worker, then all of them together with the newest checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from conftest import MakeSweep, Undisturbed
from report import Report
from strikes import strike

# Two sweeps: half a minute each to start, on a busy machine two.
pytestmark = pytest.mark.timeout(900)
CHOICE = ("augment={zeta_mixup: {gamma: 2.8, num_mixed: 4}}", "seed=0", "train.epochs=16")
FAULTS = {3: "SIGKILL of a worker", 9: "newest checkpoint truncated"}


def test_what_dies_costs_nothing(
    make_sweep: MakeSweep, run_undisturbed: Callable[..., Undisturbed], random: Random, report: Report
) -> None:
    undisturbed = run_undisturbed(*CHOICE)
    sweep = make_sweep(CHOICE)
    sweep.start()
    for epoch, fault in FAULTS.items():
        sweep.until_epoch(epoch)
        strike(fault, sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [*FAULTS.values()])
