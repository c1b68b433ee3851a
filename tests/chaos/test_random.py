"""Fifty faults, drawn at random, over one sweep."""

from __future__ import annotations

from random import Random

import pytest
from report import Report
from strikes import strike
from sweeps import SAVES_OFTEN, MakeSweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
NUM_FAULTS = 50
# How often each is drawn: those that end the driver cost a start of everything.
WEIGHTS = {
    "SIGKILL of a worker": 4,
    "SIGKILL of all workers of a slot": 3,
    "SIGKILL of the trial's actor": 3,
    "SIGKILL of the mailbox": 3,
    "SIGSTOP of a worker": 3,
    "SIGTERM of a worker": 3,
    "Ctrl-C": 1,
    "SIGKILL of the driver": 2,
}
# No fault comes later: it would find nothing to hit.
LAST_EPOCHS = 5


def test_fifty_faults_cost_nothing(
    make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    sweep = make_sweep((), SAVES_OFTEN, "resources.max_failures=1000", "resources.stall_timeout_s=8")
    total = sweep.epochs * len(sweep.keys)
    moments = sorted(random.sample(range(1, total - LAST_EPOCHS), NUM_FAULTS))
    faults = random.choices([*WEIGHTS], [*WEIGHTS.values()], k=NUM_FAULTS)
    sweep.start()
    for moment, fault in zip(moments, faults, strict=True):
        sweep.until_epoch(moment)
        strike(fault, sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, faults)
