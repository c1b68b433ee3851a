"""A mailbox that cannot be reached for a moment: it is asked again, nothing is lost or taken twice, and it is said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from commands import ROOT
from ray.exceptions import ActorUnavailableError
from sweep_results import TIMINGS, Results, read_results

from orchestrator.experiment import Resources, expand, load_experiment
from orchestrator.records import CellResult, EpochResult, Event, Remark
from orchestrator.sweep import reaching
from orchestrator.sweep.mailbox import Mailbox, Member
from orchestrator.sweep.reaching import REACHED_WITHIN_S, Line

EVENTS: list[Event] = [EpochResult(1, {}, 1), EpochResult(2, {}, 2), CellResult({}, 3)]
MEMBER = Member("node", 1)


class Wire:
    """Ray and a clock: a mailbox that is cut off at times; every second question is heard then, but not its answer."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.mailbox, self._runner = Mailbox(Resources()), runner
        self.now = self.cut_until = 100.0
        self._num_lost = 0

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=partial(getattr(self.mailbox, method)))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def get(self, question: Any) -> Any:
        """What `ray.get` does."""
        is_cut = self.now < self.cut_until
        self._num_lost += is_cut
        if is_cut and self._num_lost % 2 == 0:
            question.close()
            raise ActorUnavailableError("it cannot be reached", None)
        answer = self._runner.run(question)
        if is_cut:
            raise ActorUnavailableError("its answer is lost", None)
        return answer

    def received(self) -> list[Event]:
        """What has come to the slot."""
        found: list[Event] = []
        while (event := self._runner.run(self.mailbox.receive(0.05))) is not None:
            found.append(event)
        return found


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    with asyncio.Runner() as runner:
        wire = Wire(runner)
        monkeypatch.setattr(reaching, "time", SimpleNamespace(sleep=wire.sleep, monotonic=lambda: wire.now))
        monkeypatch.setattr(reaching, "ray", SimpleNamespace(get=wire.get))
        yield wire


@pytest.mark.parametrize("at", range(len(EVENTS)))
def test_a_short_outage_loses_no_event_and_is_said(wire: Wire, at: int) -> None:
    wire.get(wire.mailbox.submit({"seed": 0}))
    line = Line(wire, "rank 0 on a host")
    line.ask("join", 0, MEMBER)
    job = line.ask("next_job", MEMBER)
    line.ask("accept", job)
    for number, event in enumerate(EVENTS):
        if number == at:
            wire.cut_until = wire.now + 5
        assert line.ask("post", job, event, number)
    heard = wire.received()
    assert [event for event in heard if not isinstance(event, Remark)] == EVENTS
    assert [event for event in heard if isinstance(event, Remark)] == [
        Remark("rank 0 on a host could not reach its mailbox for 5 s")
    ]


def test_who_reaches_it_says_nothing(wire: Wire) -> None:
    line = Line(wire, "rank 0")
    line.ask("join", 0, MEMBER)
    wire.get(wire.mailbox.submit({"seed": 0}))
    assert line.ask("next_job", MEMBER) is not None
    assert wire.received() == []


def test_what_cannot_be_reached_for_a_minute_is_given_up(wire: Wire) -> None:
    began_at = wire.now
    wire.cut_until = began_at + 10 * REACHED_WITHIN_S
    with pytest.raises(ActorUnavailableError):
        Line(wire, "rank 0").ask("started_by")
    assert REACHED_WITHIN_S < wire.now - began_at < REACHED_WITHIN_S + 5


def test_the_minute_begins_when_it_is_cut_off(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question for the next cell may have waited for hours by then."""

    def wait_long(question: Any) -> None:
        question.close()
        wire.sleep(3600)
        wire.cut_until = wire.now + 5
        monkeypatch.setattr(reaching, "ray", SimpleNamespace(get=wire.get))
        raise ActorUnavailableError("it cannot be reached any more", None)

    monkeypatch.setattr(reaching, "ray", SimpleNamespace(get=wait_long))
    assert Line(wire, "rank 0").ask("started_by") is None


EXPERIMENT = """
name: cut
dataset: {digits: {num_train: 300}}
model: convnet
augment: [erm, {mixup: {alpha: 1.0}}]
seed: 0
train: {epochs: 4, batch_size_per_worker: 32}
resources: {slots: 1}
tracking: {models: none}
"""
# Python runs it as it starts: where the line of a worker is made, it is cut off for 5 s with some of what is posted.
CUTTING = """
import importlib.abc, sys, time

class AfterImport(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "orchestrator.sweep.reaching":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (execute(module), cut(module))
        return spec

def cut(reaching):
    call, numbers, state = reaching.Line._call, [3, 8], {"until": 0.0, "lost": 0}

    def failing(self, method, *arguments):
        now = time.monotonic()
        if method == "post" and numbers and arguments[2:] == (numbers[0],):
            numbers.pop(0)
            state["until"] = now + 5
        if now >= state["until"]:
            return call(self, method, *arguments)
        state["lost"] += 1
        if state["lost"] % 2:
            call(self, method, *arguments)
        raise reaching.ActorUnavailableError("the line is cut", None)

    reaching.Line._call = failing

sys.meta_path.insert(0, AfterImport())
"""


def swept(storage: Path, environment: dict[str, str], **variables: str) -> tuple[str, Results]:
    """Return what a sweep says, and what it leaves."""
    storage.mkdir()
    file = storage / "cut.yaml"
    file.write_text(EXPERIMENT)
    command = [sys.executable, "-m", "orchestrator", "run", str(file), "-o", f"storage={storage}"]
    # Ray puts Unix sockets there, whose paths may have 107 bytes: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="zs-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        answer = subprocess.run(
            command,
            cwd=ROOT,
            env=environment | {"RAY_TMPDIR": folder} | variables,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    keys = [cell.key for cell in expand(load_experiment(file, [f"storage={storage}"]))]
    uri = f"sqlite:///{storage / 'mlflow.db'}"
    return answer.stdout, read_results(uri, "cut", keys, cells_dir=storage / "cells")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_cells_go_on_after_a_cut_with_the_same_rows(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "cutting").mkdir()
    (tmp_path / "cutting" / "sitecustomize.py").write_text(CUTTING)
    _, undisturbed = swept(tmp_path / "whole", environment)
    output, found = swept(tmp_path / "cut", environment, PYTHONPATH=str(tmp_path / "cutting"))
    assert output.count("could not reach its mailbox for ") == 2, output
    assert "failure" not in output
    assert found.lost(undisturbed) == found.twice(undisturbed) == []
    assert {place: rows for place, rows in found.rows.items() if place[1] not in TIMINGS} == {
        place: rows for place, rows in undisturbed.rows.items() if place[1] not in TIMINGS
    }
    for key, weights in undisturbed.weights.items():
        for name, tensor in weights.items():
            assert torch.equal(found.weights[key][name], tensor), (key, name)
