"""What of a search is trained again after it failed: all without a race, and in a race what somebody asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.experiment import expand, load_experiment
from orchestrator.records import CellRun, Curve, Stopped
from orchestrator.storage import Storage
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
