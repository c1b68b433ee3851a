"""Who is at work: this machine's processes are looked at, of others the last sign counts."""

from __future__ import annotations

import os
import socket
import time

import pytest

from orchestrator.ownership import HEARTBEAT, OWNER, STALE_S, described, is_alive, this_process


def test_this_process_is_alive_and_one_with_its_old_id_is_not() -> None:
    owner = this_process()
    assert is_alive({OWNER: owner})
    assert not is_alive({OWNER: f"{socket.gethostname()}:{os.getpid()}:00000001"})
    assert described(owner) == f"process {os.getpid()} on {socket.gethostname()}"


@pytest.mark.parametrize(("age_s", "expected"), [(0, True), (STALE_S / 2, True), (STALE_S + 1, False)])
def test_of_another_machine_the_last_sign_counts(age_s: float, expected: bool) -> None:
    sign = str(int((time.time() - age_s) * 1000))
    assert is_alive({OWNER: "elsewhere:1:00000001", HEARTBEAT: sign}) is expected


@pytest.mark.parametrize("tags", [{}, {OWNER: ""}, {OWNER: "elsewhere:1:00000001"}])
def test_without_a_signature_or_a_sign_nobody_is(tags: dict[str, str]) -> None:
    assert not is_alive(tags)
