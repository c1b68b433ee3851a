"""The fast part of the suite: a sweep that loses a worker ends as the plain loop does, which nothing happened to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from commands import ROOT
from report import Report
from results import BEST, TIMINGS, assert_each_row_once
from strikes import strike
from sweeps import NUM_WORKERS, SAVES_OFTEN, MakeSweep

from orchestrator import checkpoint

# A sweep: half a minute to start, on a busy machine two.
pytestmark = pytest.mark.timeout(900)
CHOICE = ("augment={zeta_mixup: {gamma: 2.8, num_mixed: 4}}", "seed=0", "train.epochs=10")
FAULT = "SIGKILL of a worker"


def test_what_dies_costs_nothing(
    make_sweep: MakeSweep,
    experiment_file: Path,
    chaos_environment: dict[str, str],
    tmp_path: Path,
    random: Random,
    report: Report,
) -> None:
    sweep = make_sweep(CHOICE, SAVES_OFTEN)
    (key,) = sweep.keys
    sweep.start()
    sweep.until_epoch(3)
    strike(FAULT, sweep, random, report)
    assert sweep.wait() == 0, sweep.output
    found = sweep.results()
    assert_each_row_once(found, epochs=sweep.epochs)
    report.cost([FAULT], lost=[], twice=[])
    sweep.assert_one_parent()
    sweep.assert_tidy()

    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(NUM_WORKERS)]
    command += ["--master-port", "29518", "-m", "orchestrator.train", str(experiment_file), "--cell", key]
    command += [part for override in (*CHOICE, f"storage={tmp_path / 'plain'}") for part in ("-o", override)]
    plain = subprocess.run(
        command, cwd=ROOT, env=chaos_environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert plain.returncode == 0, plain.stderr
    kept, told = (checkpoint.load(tmp_path / "plain" / "cells" / key / name) for name in (BEST, checkpoint.RESULT))
    assert kept is not None
    assert told is not None
    for entry in told["history"]:
        for name, value in entry["metrics"].items():
            assert name in TIMINGS or found.rows[key, name, entry["epoch"]] == [value], (name, entry["epoch"])
    for name, value in told["result"]["metrics"].items():
        assert found.rows[key, name, 0] == [value], name
    assert found.weights[key].keys() == kept["model"].keys()
    assert all((found.weights[key][name] == tensor).all() for name, tensor in kept["model"].items())
