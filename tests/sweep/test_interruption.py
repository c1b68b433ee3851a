"""What counts as insisting: Ctrl-C or SIGTERM twice, and no number of notices."""

from __future__ import annotations

import signal

import pytest

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
    monkeypatch.setattr(interruption, "end_at_once", lambda: ended.append("at once"))
    with Interruption() as request, request.heeded():
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        for number in numbers:
            handler(number, None)
    assert request.requested
    assert ended == ["at once"] * at_once
