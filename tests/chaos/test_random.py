"""Fifty faults, drawn at random, over one sweep, and that five times."""

from __future__ import annotations

from random import Random

import pytest
from report import Report
from strikes import strike
from sweeps import SAVES_OFTEN, MakeSweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]
NUM_FAULTS = 50
STOPPED_SLOT = "SIGSTOP of the trial's actor"
# How often each is drawn: those that end the driver cost a start of everything.
WEIGHTS = {
    "SIGKILL of a worker": 4,
    "SIGKILL of all workers of a slot": 3,
    "SIGKILL of the trial's actor": 3,
    "SIGKILL of the mailbox": 3,
    "SIGSTOP of a worker": 3,
    STOPPED_SLOT: 1,
    "SIGSTOP of the mailbox": 1,
    "SIGSTOP of Ray Train's controller": 1,
    "SIGTERM of a worker": 3,
    "Ctrl-C": 1,
    "SIGKILL of the driver": 2,
}
# When: ending the workers first costs a start of theirs.
MOMENTS = {"in an epoch": 6, "between two cells": 3, "as workers start": 1}
# Limits that what is alive keeps.
LIMITS = ("resources.max_failures=1000", "resources.stall_timeout_s=15", "resources.start_timeout_s=90")
# The first has stopped a worker between two cells, and a sweep for good.
SEEDS = (20261129, 1, 2, 3, 4)
# Of the last epochs faults are brought forward: an epoch takes less time than some faults, and what comes when all is
# trained finds nothing to hit.
LAST_EPOCHS = 30


@pytest.mark.parametrize("random", SEEDS, indirect=True)
def test_fifty_faults_cost_nothing(
    make_sweep: MakeSweep, undisturbed: Undisturbed, random: Random, report: Report
) -> None:
    """The seed is part of the test's name, which all is drawn from."""
    sweep = make_sweep((), SAVES_OFTEN, *LIMITS)
    total = sweep.epochs * len(sweep.keys)
    epochs = sorted(min(epoch, total - LAST_EPOCHS) for epoch in random.sample(range(1, total - 5), NUM_FAULTS))
    faults = random.choices([*WEIGHTS], [*WEIGHTS.values()], k=NUM_FAULTS)
    moments = random.choices([*MOMENTS], [*MOMENTS.values()], k=NUM_FAULTS)
    struck = []
    sweep.start()
    for epoch, fault, moment in zip(epochs, faults, moments, strict=True):
        sweep.until_epoch(epoch)
        if fault == STOPPED_SLOT and sweep.finished_cells() >= len(sweep.keys) - 2:
            # In the last cell its workers would train on to the end, and the other faults find nothing to hit.
            fault = f"{STOPPED_SLOT} and its workers"
        strike(fault, sweep, random, report, moment=moment)
        struck.append(fault)
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, struck)
