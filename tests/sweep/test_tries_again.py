"""What of a search is trained again after it failed: all without a race, and in a race what somebody asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import TrackingError
from orchestrator.experiment import expand, load_experiment
from orchestrator.records import CellRun, Curve, Outcome, Stopped
from orchestrator.storage import Storage
from orchestrator.sweep.run import run_missing
from orchestrator.sweep.searching import Searching
from orchestrator.tracking import Tracker

TEXT = """
name: again
dataset: digits
model: convnet
augment: [erm, {mixup: {alpha: [0.2, 0.5, 1.0]}}]
train: {epochs: 4}
seed: [0, 1]
search: {race: RACE}
"""


def searching(tmp_path: Path, race: str, *, retry: bool = False, is_lost: bool = False) -> tuple[Searching, CellRun]:
    """A search that has begun: each first cell has its first epoch, and the first has failed."""
    file = tmp_path / "again.yaml"
    file.write_text(TEXT.replace("RACE", race))
    experiment = load_experiment(file, [f"storage={tmp_path}"])
    cells = expand(experiment)
    curve = Curve({"best/error": {1: 0.1}, "best/loss": {1: 0.1}}, 1.0)
    run = CellRun(key="", status="interrupted", run_id=None, epoch=1, epochs=4, curve=curve)
    runs = {cell.key: replace(run, key=cell.key) for cell in cells if cell.seed == 0}
    failed = replace(runs[cells[0].key], status="failed", is_lost=is_lost, curve=None, epoch=None)
    runs[failed.key] = failed

    class Tracked(Tracker):
        def every_cell_run(self) -> dict[str, CellRun]:
            return dict(runs)

    return Searching(experiment, Storage(tmp_path), Tracked(f"sqlite:///{tmp_path}/m.db"), retry=retry), failed


@pytest.mark.parametrize(
    ("race", "retry", "is_lost", "is_tried"),
    [
        ("none", False, False, True),
        ("ladder", False, False, False),
        ("ladder", False, True, True),
        ("ladder", True, False, True),
    ],
)
def test_a_failed_cell_is_tried_again(tmp_path: Path, race: str, retry: bool, is_lost: bool, is_tried: bool) -> None:
    search, failed = searching(tmp_path, race, retry=retry, is_lost=is_lost)
    assert (failed.key in {leg.cell.key for leg in search.followed.legs}) == is_tried


def test_what_follows_waits_for_mlflow_and_is_given_up_by_who_interrupts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a search would end on Saturday where MLflow is restarted while a batch is asked for."""
    search, _ = searching(tmp_path, "ladder")
    monkeypatch.setattr("orchestrator.sweep.searching.RETRY_EVERY_S", 0.0)
    look, fails = search._reader.look, [2]

    def unsteady(*arguments: Any) -> Any:
        if fails[0]:
            fails[0] -= 1
            raise TrackingError("nobody answers", remedy="start it")
        return look(*arguments)

    monkeypatch.setattr(search._reader, "look", unsteady)
    search.is_interrupted = lambda: False
    assert any(search.advance(search.runs))
    fails[0], search.is_interrupted = 99, lambda: fails[0] < 97
    assert search.advance(search.runs) == []
    assert not search.followed.is_over


def test_a_stop_with_other_numbers_is_told_anew_and_the_same_one_is_not(tmp_path: Path) -> None:
    search, _ = searching(tmp_path, "ladder")
    told: list[tuple[str, Stopped]] = []
    search.tell = lambda cell, event: told.append((cell.key, event))
    search.advance(search.runs)
    assert told
    first = dict(told)
    for stopped, num in (
        (lambda each: replace(each, timestamp_ms=0), 0),
        (lambda each: replace(each, cut=0.7), len(first)),
    ):
        again, _ = searching(tmp_path, "ladder")
        told.clear()
        again.tell = search.tell
        again.advance(
            {
                key: replace(run, race="stopped", stopped=stopped(first[key])) if key in first else run
                for key, run in again.runs.items()
            }
        )
        assert len(told) == num


@pytest.mark.parametrize("is_open", [False, True])
def test_a_race_whose_cells_failed_is_not_finished_by_giving_the_command_again(tmp_path: Path, is_open: bool) -> None:
    """Whether its driver closed the run or died: exit code and MLflow say the same."""
    file = tmp_path / "again.yaml"
    file.write_text(TEXT.replace("RACE", "ladder"))
    experiment = load_experiment(file, [f"storage={tmp_path}"])
    cells, tracker = (
        expand(experiment),
        Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", artifacts=tmp_path / "artifacts"),
    )
    tracker.sweep.open(experiment, {})
    for cell in cells:
        tracker.open_cell(cell, None, sweep=experiment.name, timestamp_ms=1)
        tracker.fail_cell(cell, "the loss is nan")
    if is_open:
        tracker.sweep._at_work.close()
    else:
        tracker.sweep.close(complete=False)

    def again() -> tuple[Outcome, str]:
        now = Tracker(tracker.store.uri, artifacts=tmp_path / "artifacts")
        outcome = run_missing(experiment, cells, Storage(tmp_path), now, data={})
        (run,) = tracker.sweep._found(experiment)
        return outcome, run.info.status

    # The first makes up for what the run does not say yet, the second finds nothing to do.
    assert [again(), again()] == [(Outcome.INCOMPLETE, "KILLED")] * 2
