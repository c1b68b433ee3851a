"""Who is at work: this machine's processes are looked at, of others the last sign counts."""

from __future__ import annotations

import os
import socket
import time

import pytest

from orchestrator.tracking.ownership import HEARTBEAT, OWNER, STALE_S, described, is_alive, now_ms, this_process


def test_this_process_is_alive_and_one_with_its_old_id_is_not() -> None:
    owner = this_process()
    assert is_alive({OWNER: owner})
    place = owner.split(":")[1]
    assert not is_alive({OWNER: f"{socket.gethostname()}:{place}:{os.getpid()}:00000001"})
    assert not is_alive({OWNER: f"{socket.gethostname()}:{place}:4194305:00000001", HEARTBEAT: now_ms()})
    assert described(owner) == f"process {os.getpid()} on {socket.gethostname()}"


def test_where_the_clock_was_set_the_last_sign_counts() -> None:
    host, place, pid, start = this_process().split(":")
    earlier = f"{host}:{place}:{pid}:{int(start, 16) - 3600:08x}"
    assert is_alive({OWNER: earlier, HEARTBEAT: now_ms()})
    assert not is_alive({OWNER: earlier, HEARTBEAT: "1000"})


def test_who_signed_before_places_were_told_apart_is_known_by_the_last_sign() -> None:
    owner = f"{socket.gethostname()}:{os.getpid()}:00000001"
    assert is_alive({OWNER: owner, HEARTBEAT: now_ms()})
    assert not is_alive({OWNER: owner})
    assert described(owner) == f"process {os.getpid()} on {socket.gethostname()}"


def test_a_container_of_the_same_name_is_another_machine() -> None:
    owner = f"{socket.gethostname()}:0badcafe:{os.getpid()}:00000001"
    assert is_alive({OWNER: owner, HEARTBEAT: now_ms()})
    assert not is_alive({OWNER: owner})


@pytest.mark.parametrize(("age_s", "expected"), [(0, True), (STALE_S / 2, True), (STALE_S + 1, False)])
def test_of_another_machine_the_last_sign_counts(age_s: float, expected: bool) -> None:
    sign = str(int((time.time() - age_s) * 1000))
    assert is_alive({OWNER: "elsewhere:0badcafe:1:00000001", HEARTBEAT: sign}) is expected


@pytest.mark.parametrize("tags", [{}, {OWNER: ""}, {OWNER: "elsewhere:0badcafe:1:00000001"}])
def test_without_a_signature_or_a_sign_nobody_is(tags: dict[str, str]) -> None:
    assert not is_alive(tags)
