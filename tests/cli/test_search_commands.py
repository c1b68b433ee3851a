"""What commands say of a search, from a file to the line that is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Call

from orchestrator.opened import run as running
from orchestrator.records import Outcome

EXPERIMENT = """
name: searched
dataset: digits
model: convnet
augment:
  - erm
  - mixup: {alpha: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]}
seed: [0, 1, 2, 3, 4]
train: {epochs: 8, warmup_epochs: 0, batch_size_per_worker: 32}
search: {race: ladder, keep: [erm], confirm: {top: 2, seeds: 4}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "searched.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("status", 1, "the search: rung 1 of 4, 12 of 12 left; 0 of the grid's 480 epochs (0 %), at most 190."),
        ("compare", 1, "of what is raced no row is starred and none has an interval"),
        ("select", 1, "nothing to select, no configuration has all its seeds done"),
        ("plan", 0, "zetasweep confirm would train 12 cells more: the 2 best rows and erm on 4 new seeds"),
        ("confirm", 2, "the search is not over: rung 1 of 4, 12 of 12 left, 0 % of the grid's epochs"),
        ("confirm --top 50", 2, "--top 50: there are not so many rows"),
    ],
)
def test_before_anything_is_trained(call: Call, file: Path, command: str, code: int, said: str) -> None:
    name, *options = command.split()
    answer = call(name, file, *options)
    assert answer.code == code, answer.out + answer.err
    assert said in " ".join((answer.out + answer.err).split())


def test_a_baseline_that_is_not_there_is_named_by_its_key(call: Call, file: Path) -> None:
    answer = call("confirm", file, "-o", "search.confirm.against=[emr]")
    assert answer.code == 2
    assert "search.confirm.against" in answer.err
    assert "emr" in answer.err


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("confirm", ["{top: 2, seeds: 4}", "null"])
def test_run_ends_with_the_command_that_confirms(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, confirm: str
) -> None:
    monkeypatch.setattr(running, "run", lambda *_, **__: outcome)
    said = call("run", file, "-o", f"search.confirm={confirm}").out.splitlines()
    command = f"zetasweep confirm {file} -o 'search.confirm={confirm}'"
    is_said = confirm != "null" and outcome is not Outcome.INTERRUPTED
    assert [line.endswith(f": {command}") for line in said if "zetasweep confirm" in line] == [True] * is_said
