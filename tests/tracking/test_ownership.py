"""Leases: of this machine's processes it is seen whether they live, of others the last heartbeat counts."""

from __future__ import annotations

import os
import socket

import pytest

from orchestrator.records import now_ms
from orchestrator.tracking.names import HEARTBEAT, OWNER
from orchestrator.tracking.ownership import STALE_S, described, is_leased, this_process


def test_this_process_holds_its_lease_and_one_with_its_old_id_does_not() -> None:
    owner = this_process()
    assert is_leased({OWNER: owner})
    place = owner.split(":")[1]
    assert not is_leased({OWNER: f"{socket.gethostname()}:{place}:{os.getpid()}:00000001"})
    assert not is_leased({OWNER: f"{socket.gethostname()}:{place}:4194305:00000001", HEARTBEAT: str(now_ms())})
    assert described(owner) == f"process {os.getpid()} on {socket.gethostname()}"


def test_where_the_clock_was_set_the_last_heartbeat_counts() -> None:
    host, place, pid, start = this_process().split(":")
    earlier = f"{host}:{place}:{pid}:{int(start, 16) - 3600:08x}"
    assert is_leased({OWNER: earlier, HEARTBEAT: str(now_ms())})
    assert not is_leased({OWNER: earlier, HEARTBEAT: "1000"})


def test_an_owner_of_before_places_were_told_apart_is_known_by_the_last_heartbeat() -> None:
    owner = f"{socket.gethostname()}:{os.getpid()}:00000001"
    assert is_leased({OWNER: owner, HEARTBEAT: str(now_ms())})
    assert not is_leased({OWNER: owner})
    assert described(owner) == f"process {os.getpid()} on {socket.gethostname()}"


def test_a_container_of_the_same_name_is_another_machine() -> None:
    owner = f"{socket.gethostname()}:0badcafe:{os.getpid()}:00000001"
    assert is_leased({OWNER: owner, HEARTBEAT: str(now_ms())})
    assert not is_leased({OWNER: owner})


@pytest.mark.parametrize(("age_s", "expected"), [(0, True), (STALE_S / 2, True), (STALE_S + 1, False)])
def test_of_another_machine_the_last_heartbeat_counts(age_s: float, expected: bool) -> None:
    heartbeat = str(now_ms() - int(1000 * age_s))
    assert is_leased({OWNER: "elsewhere:0badcafe:1:00000001", HEARTBEAT: heartbeat}) is expected


@pytest.mark.parametrize("tags", [{}, {OWNER: ""}, {OWNER: "elsewhere:0badcafe:1:00000001"}])
def test_without_an_owner_or_a_heartbeat_there_is_no_lease(tags: dict[str, str]) -> None:
    assert not is_leased(tags)
