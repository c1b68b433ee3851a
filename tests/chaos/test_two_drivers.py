"""Two people run the same sweep at once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from report import Report
from sweeps import TWO_CELLS, MakeSweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
STORAGE, STORE = "second driver on one storage", "second driver on one MLflow"


def test_the_second_is_told_who_holds_it(
    make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report, tmp_path: Path
) -> None:
    uri = f"tracking.uri=sqlite:///{tmp_path / 'shared.db'}"
    sweep = make_sweep(TWO_CELLS, uri)
    elsewhere = make_sweep(TWO_CELLS, uri, storage=tmp_path / "elsewhere")
    sweep.start()
    sweep.until_epoch(3)
    for second, fault in ((sweep, STORAGE), (elsewhere, STORE)):
        refused = second.ask("run")
        report.injected(fault)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert str(sweep.driver.pid) in refused.stderr
        assert socket.gethostname() in refused.stderr
        assert "Traceback" not in refused.stderr
    assert sweep.driver.poll() is None, sweep.output
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [STORAGE, STORE])
    after = elsewhere.ask("run")
    assert after.returncode == 0, after.stdout + after.stderr
    assert "nothing is missing" in after.stdout
