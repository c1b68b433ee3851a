"""A process for work that a long-lived one had better not do itself: real processes, and real signals."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from orchestrator.errors import UserError
from orchestrator.side_process import SideProcess
from orchestrator.signals import NOTICES


@pytest.fixture
def side() -> Iterator[SideProcess]:
    side = SideProcess("adds", calls=3, limit_s=20)
    yield side
    side.end()


def refuse() -> None:
    raise UserError("it is not right", remedy="mend it")


def signal_itself() -> int:
    for number in (signal.SIGINT, *NOTICES):
        os.kill(os.getpid(), number)
    return os.getpid()


def test_it_is_replaced_after_so_many_calls(side: SideProcess) -> None:
    pids = [side.call(os.getpid) for _ in range(7)]
    assert os.getpid() not in pids
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    assert not any(psutil.pid_exists(pid) for pid in pids[:6])


def test_what_is_raised_there_is_raised_here_with_where_that_was(side: SideProcess) -> None:
    with pytest.raises(UserError, match="it is not right") as raised:
        side.call(refuse)
    assert raised.value.remedy == "mend it"
    assert "in refuse" in raised.value.__notes__[0]
    assert side.call(abs, -1) == 1


def test_signals_that_are_meant_for_the_program_do_not_end_it(side: SideProcess) -> None:
    assert side.call(signal_itself) == side.call(os.getpid)


def test_one_that_was_killed_meanwhile_is_replaced(side: SideProcess) -> None:
    killed = side.call(os.getpid)
    os.kill(killed, signal.SIGKILL)
    assert side.call(os.getpid) != killed


@pytest.mark.parametrize(
    ("function", "argument", "reason"),
    [(os._exit, 3, r"adds died \(exit code 3\)"), (time.sleep, 60, "adds gave no answer for 1 s")],
    ids=["dies", "hangs"],
)
def test_a_call_that_kills_it_every_time_is_an_error(function: object, argument: int, reason: str) -> None:
    side = SideProcess("adds", limit_s=1)
    side.call(abs, 1)
    pid = side.call(os.getpid)
    try:
        with pytest.raises(OSError, match=reason) as raised:
            side.call(function, argument)
        assert raised.value.errno == errno.ENOMEM
        assert not psutil.pid_exists(pid)
        assert side.call(abs, -1) == 1
    finally:
        side.end()


PARENT = """
import os, time
from orchestrator.side_process import SideProcess
if __name__ == "__main__":
    side = SideProcess("sleeps")
    print(side.call(os.getpid), flush=True)
    side.call(time.sleep, 100)
"""


def test_it_ends_with_the_one_that_started_it_in_the_middle_of_a_call(tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "parent.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)
    assert not psutil.pid_exists(pid)
