"""MLflow is down, answers with errors, too late, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from report import Report
from servers import MlflowServer, Proxy, locked
from sweeps import TWO_CELLS, MakeSweep, Sweep
from undisturbed import Undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
KILLED, ERRORS, LATE, LOCKED = (
    "MLflow killed and restarted",
    "MLflow answers 500",
    "MLflow answers after 60 s",
    "SQLite locked for 30 s",
)
UNDELIVERED = "MLflow down at the end, and sync"
# How many epochs must pass before MLflow answers again: far more than could wait for an answer unnoticed.
EPOCHS_WITHOUT = 10
LATE_S, LOCKED_S = 60.0, 30.0


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy
        proxy.shutdown()


def train_on(sweep: Sweep, epochs: int = EPOCHS_WITHOUT) -> None:
    """Wait for so many more epochs: none of them waits for MLflow."""
    sweep.until_epoch(sweep.finished_epochs() + epochs)


def test_training_goes_on_without_an_answer(
    make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report, server: MlflowServer, proxy: Proxy
) -> None:
    # All cells: a server takes as long to start as three of them.
    sweep = make_sweep([], f"tracking.uri={proxy.uri}")
    sweep.start()
    sweep.until_epoch(3)
    server.kill()
    train_on(sweep)
    server.start()
    report.injected(KILLED)
    train_on(sweep, 5)
    proxy.fails = True
    train_on(sweep)
    proxy.fails = False
    report.injected(ERRORS)
    # Into the next cell: its run is made by a request that is answered too late.
    answered, proxy.delay_s = proxy.answered, LATE_S
    sweep.until_epoch((sweep.finished_epochs() // sweep.epochs + 1) * sweep.epochs + 5)
    sweep.until(lambda: proxy.answered > answered, "late answer")
    proxy.delay_s = 0
    report.injected(LATE)
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [KILLED, ERRORS, LATE])


def test_what_mlflow_did_not_take_is_delivered_later(
    make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report, server: MlflowServer, proxy: Proxy
) -> None:
    sweep = make_sweep(TWO_CELLS, f"tracking.uri={proxy.uri}")
    sweep.start()
    sweep.until_epoch(10)
    server.kill()
    report.injected(UNDELIVERED)
    assert sweep.wait() == 1, sweep.output
    assert "sync" in sweep.output
    assert "Traceback" not in sweep.output
    refused = sweep.ask("sync")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stdout + refused.stderr
    server.start()
    synced = sweep.ask("sync")
    assert synced.returncode == 0, synced.stdout + synced.stderr
    undisturbed.assert_same(sweep, report, [UNDELIVERED])


def test_a_locked_database_is_waited_for(make_sweep: MakeSweep, undisturbed: Undisturbed, report: Report) -> None:
    sweep = make_sweep(TWO_CELLS)
    sweep.start()
    sweep.until_epoch(3)
    with locked(sweep.storage / "mlflow.db"):
        report.injected(LOCKED)
        since = time.monotonic()
        train_on(sweep)
        time.sleep(max(0.0, since + LOCKED_S - time.monotonic()))
    assert sweep.wait() == 0, sweep.output
    undisturbed.assert_same(sweep, report, [LOCKED])
