"""Owners: of this machine's processes it is seen whether they live; of others, nothing."""

from __future__ import annotations

import os
import socket
import time

from orchestrator.process_names import described, is_alive_here, lasting_clock, this_process
from orchestrator.records import now_ms
from orchestrator.tracking.ownership import STALE_S, was_recent


def test_this_process_lives_and_one_that_is_gone_does_not() -> None:
    owner = this_process()
    host, place, *_ = owner.split(":")
    assert is_alive_here(owner) is True
    assert is_alive_here(f"{host}:{place}:4194305:00000001") is False
    assert described(owner) == f"process {os.getpid()} on {socket.gethostname()}"


def test_what_cannot_be_seen_from_here_is_not_guessed() -> None:
    """Another machine's, a container's of the same name, one of before places were told apart, one before a set
    clock."""
    host, place, pid, start = this_process().split(":")
    elsewhere = f"{host}:{pid}:00000001"
    earlier = f"{host}:{place}:{pid}:{int(start, 16) - 3600:08x}"
    for owner in ("elsewhere:0badcafe:1:00000001", f"{host}:0badcafe:{pid}:{start}", elsewhere, earlier):
        assert is_alive_here(owner) is None, owner
        assert described(owner).startswith("process ")


def test_how_young_a_heartbeat_looks() -> None:
    assert was_recent(str(now_ms()))
    assert was_recent(str(now_ms() - int(500 * STALE_S)))
    assert not was_recent(str(now_ms() - int(1000 * STALE_S) - 1000))
    assert not was_recent("")


def test_the_clock_goes_on() -> None:
    before = lasting_clock()
    time.sleep(0.01)
    assert 0.01 <= lasting_clock() - before < 60
