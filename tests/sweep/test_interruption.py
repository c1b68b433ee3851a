"""What counts as insisting: Ctrl-C or SIGTERM twice, and no number of notices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from commands import ROOT

from orchestrator.signals import NOTICES
from orchestrator.sweep import interruption
from orchestrator.sweep.interruption import Interruption

HUP, TERM, INT = signal.SIGHUP, signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("numbers", "at_once"),
    [
        ([INT], False),
        ([INT, INT], True),
        ([TERM, INT], True),
        ([HUP, HUP, HUP], False),
        # As systemd ends a session, and batch systems a job that they have warned.
        ([HUP, TERM], False),
        ([TERM, HUP], False),
        ([*NOTICES, TERM], False),
        ([HUP, INT, INT], True),
    ],
)
def test_who_insists_ends_it_at_once(
    numbers: list[signal.Signals], at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(interruption, "end_at_once", lambda _: ended.append("at once"))
    with Interruption() as request, request.heeded():
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        for number in numbers:
            handler(number, None)
    assert request.requested
    assert ended == ["at once"] * at_once


# As in a sweep, whose errors go to its log.
INSISTS = """
import os, signal
from orchestrator.sweep.interruption import Interruption
with Interruption() as interruption:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with interruption.heeded():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
"""


def test_who_ends_it_at_once_is_told_what_stays_open_and_how_it_is_closed() -> None:
    command, variables = [sys.executable, "-c", INSISTS], os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 130
    assert "runs in MLflow stay open; the same command takes them up" in answer.stderr
    assert "zetasweep sync or doctor --fix closes them" in answer.stderr
