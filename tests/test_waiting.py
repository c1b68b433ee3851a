"""Who waits says so, wherever it is, and again; who does not wait says nothing."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from commands import ROOT, until

from orchestrator import waiting
from orchestrator.shown_warnings import warnings_shown_by
from orchestrator.waiting import counting, hush, waiting_for, watched

# As it is, and not as the tests have it.
FIRST_S = waiting.FIRST_S


def test_it_is_said_within_ten_seconds_and_again_every_minute() -> None:
    assert FIRST_S + waiting.LOOK_EVERY_S < 10
    assert waiting.AGAIN_S == 60


def test_a_wait_is_said_again_and_again_until_it_is_over(said: list[str]) -> None:
    with waiting_for("the others"):
        until(lambda: len(said) > 2)
    number = len(said)
    assert all(re.fullmatch(r"waiting for the others \(0:00:0\d so far\)", line) for line in said)
    assert not [thread for thread in threading.enumerate() if thread.name == "waiting"]
    assert len(said) == number


def test_what_is_over_at_once_is_not_said(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_S", 60.0)
    with pytest.raises(KeyError), waiting_for("the others"):
        raise KeyError
    assert said == []


def test_a_function_that_waits_says_so_each_time(said: list[str]) -> None:
    @waiting_for("an answer")
    def asked(question: int) -> int:
        until(lambda: len(said) >= question)
        return question

    assert [asked(1), asked(2)] == [1, 2]
    assert {line.split(" (")[0] for line in said} == {"waiting for an answer"}


def test_a_wait_that_others_began_is_counted_from_there_and_said_as_late(said: list[str]) -> None:
    began_at = time.monotonic()
    with waiting_for("an answer", since=began_at - 75):
        until(lambda: bool(said))
    assert time.monotonic() - began_at >= waiting.FIRST_S
    assert re.fullmatch(r"waiting for an answer \(0:01:1[5-9] so far\)", said[0])


def test_how_far_it_is_is_said(said: list[str]) -> None:
    with counting("decoding digits") as show:
        show(1, 7)
        until(lambda: bool(said))
        show(5, 7)
        until(lambda: "decoding digits: 5 of 7 (" in said[-1])
    assert said[0].startswith("decoding digits: 1 of 7 (")


def test_the_clock_starts_anew_with_each_wait(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now, reason = [0.0], ["a"]
    looked: list[str | None] = []

    def waits_for() -> str | None:
        looked.append(reason[0] or None)
        return looked[-1]

    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting, "FIRST_S", 8.0)
    with watched(waits_for):
        for reason[0], now[0] in (("a", 0.0), ("a", 7.0), ("", 7.5), ("b", 9.0), ("b", 16.0), ("b", 17.0)):
            seen = len(looked) + 1
            while len(looked) <= seen:  # at the clock's frozen time; two looks: one may have begun before
                time.sleep(0.001)
    assert said == ["b (0:00:08 so far)"]


def test_one_of_several_that_wait_for_the_same_says_it(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting.logger, "disabled", False)
    hush()
    with waiting_for("the others"):
        time.sleep(0.1)
    assert said == []


def test_a_warning_is_shown_once_and_by_who_has_the_screen() -> None:
    outer: list[str] = []
    inner: list[str] = []
    ours = logging.getLogger("orchestrator.anywhere")
    with warnings_shown_by(outer.append):
        ours.warning("%s is %d", "one", 1)
        with warnings_shown_by(inner.append):
            ours.warning("two")
            ours.info("for the log")
            logging.getLogger("elsewhere").warning("not ours")
        ours.warning("ftp://user:hunter2@host does not answer")
    assert outer == ["one is 1", "ftp://***@host does not answer"]
    assert inner == ["two"]


def test_a_traceback_is_for_the_log_alone() -> None:
    shown: list[str] = []
    with warnings_shown_by(shown.append):
        try:
            raise ValueError("inside")
        except ValueError:
            logging.getLogger("orchestrator.anywhere").exception("it failed")
    assert shown == []


def test_what_cannot_be_shown_ends_nothing() -> None:
    def broken(_: str) -> None:
        raise OSError("the terminal is gone")

    with warnings_shown_by(broken):
        logging.getLogger("orchestrator.anywhere").warning("a line")


# A process of its own: a sweep's output goes to its log below Python.
SWEEP = """
import logging, sys
from pathlib import Path
from orchestrator.sweep.output import output_to
with output_to(Path(sys.argv[1])):
    logging.getLogger("orchestrator.storage.checkpoints").warning("damaged: it is removed")
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("orchestrator.tracking").exception("MLflow did not take it")
"""


def test_a_sweep_shows_warnings_and_keeps_them(tmp_path: Path) -> None:
    command, variables = [sys.executable, "-c", SWEEP, tmp_path / "log"], os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == ("damaged: it is removed\n", "")
    log = (tmp_path / "log").read_text()
    assert "WARNING orchestrator.storage.checkpoints: damaged: it is removed" in log
    assert "ValueError: inside" in log
