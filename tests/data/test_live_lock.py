"""Who waits for a lock knows whether its holder is at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import ROOT

from orchestrator.data import live_lock
from orchestrator.data.live_lock import held, showing_at

HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.data import live_lock
from orchestrator.data.live_lock import held, showing_at
live_lock.SIGN_EVERY_S = 0.1
folder = Path(sys.argv[1])
with held(folder / "lock", seen_at=folder / "work", sign=lambda: None):
    (folder / "work").mkdir()
    show = showing_at(folder / "work", lambda: None)
    print("held", flush=True)
    while True:
        show()
        time.sleep(0.05)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock and works."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_one_that_waits_gives_the_signs_of_life_of_the_holder(
    holder: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_lock, "SIGN_EVERY_S", 0.2)
    signs: list[float] = []
    entered = threading.Event()

    def wait() -> None:
        with held(tmp_path / "lock", seen_at=tmp_path / "work", sign=lambda: signs.append(time.monotonic())):
            entered.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: len(signs) > 3)
    os.kill(holder.pid, signal.SIGSTOP)
    # A touch that has been made may still be found.
    until(lambda: time.monotonic() - signs[-1] > 2)
    os.kill(holder.pid, signal.SIGCONT)
    heard = len(signs)
    until(lambda: len(signs) > heard)
    assert not entered.is_set()
    holder.kill()
    waiting.join(30)
    assert entered.is_set()


def test_what_holds_it_may_fail(tmp_path: Path) -> None:
    """Also with what waiting for a lock raises."""
    for _ in range(2):
        with pytest.raises(TimeoutError), held(tmp_path / "lock", seen_at=tmp_path, sign=lambda: None):
            raise TimeoutError


def test_signs_are_given_each_time_and_shown_sometimes(tmp_path: Path) -> None:
    signs: list[None] = []
    show = showing_at(tmp_path, lambda: signs.append(None))
    show()
    shown_at = tmp_path.stat().st_mtime_ns
    show()
    assert len(signs) == 2
    assert tmp_path.stat().st_mtime_ns == shown_at


def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
