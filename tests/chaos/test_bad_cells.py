"""Cells that cannot be trained harm nobody: not the cells after them, and not themselves when the reason is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from report import Report
from sweep_results import cell_runs
from sweeps import NAME, MakeSweep, Sweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
INJECTED = Path(__file__).with_name("injected")
# By the class that is made to fail: what happens, the cell's augmentation, and what its reason must say.
BAD = {
    "ZetaMixup=exception": ("exception on rank 1", "zeta_mixup", "injected into rank 1"),
    "MixUp=out-of-memory": ("out of memory on rank 1", "mixup", "memory"),
    "CutMix=nan": ("NaN in the loss", "cutmix", "nan"),
}


def by_augment(sweep: Sweep) -> dict[str, tuple[str, str]]:
    """Return status and reason of each cell, by its augmentation; every cell has one run."""
    runs = cell_runs(MlflowClient(sweep.uri), NAME)
    found = {run.data.params["augment"]: (run.info.status, run.data.tags.get("zetasweep.reason", "")) for run in runs}
    assert len(found) == len(runs)
    return found


def test_the_others_are_trained(make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report) -> None:
    sweep = make_sweep(["seed=0"])
    sweep.start(PYTHONPATH=str(INJECTED), ZETASWEEP_CHAOS_INJECTED=",".join(BAD))
    assert sweep.wait() == 1, sweep.output
    assert "Traceback" not in sweep.output
    found = by_augment(sweep)
    status = sweep.ask("status")
    assert status.returncode == 1
    for fault, augment, reason in BAD.values():
        report.injected(fault)
        assert found[augment][0] == "FAILED"
        assert reason in found[augment][1]
        assert found[augment][1] in " ".join(status.stdout.split())
    assert found["erm"] == ("FINISHED", "")
    # The reason is gone: the same command finishes the table.
    sweep.start()
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [fault for fault, _, _ in BAD.values()])


def test_a_learning_rate_that_explodes(make_sweep: MakeSweep, report: Report) -> None:
    sweep = make_sweep(["augment=erm", "train.lr=1e18"])
    sweep.start()
    assert sweep.wait() == 1, sweep.output
    report.injected("NaN in the loss")
    assert "Traceback" not in sweep.output
    runs = cell_runs(MlflowClient(sweep.uri), NAME)
    assert [run.info.status for run in runs] == ["FAILED"] * 2
    assert all("train.lr" in run.data.tags["zetasweep.reason"] for run in runs)
    status = sweep.ask("status")
    assert status.returncode == 1
    assert "train.lr" in status.stdout
