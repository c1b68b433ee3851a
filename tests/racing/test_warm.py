"""A sampler is told of what was finished before: which configurations it was, the keys of the cells say."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_races import RANGES, Simulated, opened

from orchestrator.experiment import columns, expand
from orchestrator.racing import FinishedCell, place, told_at_first
from orchestrator.search import SAMPLERS, Point

# What a sweep of lists had trained, in the same column.
LISTED = """
name: listed
dataset: digits
model: convnet
augment:
  - erm
  - mixup: {alpha: [0.2, 0.5, 3.0]}
train: {epochs: 8, lr: [0.1, 0.9]}
seed: [0, 1, 2]
"""


@pytest.fixture(autouse=True)
def _without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "optuna", SAMPLERS["random"])


def test_finished_cells_of_the_column_are_told_once(tmp_path: Path) -> None:
    cells = expand(opened(tmp_path, LISTED))
    finished = [FinishedCell(cell.key, cell.params(), 0.1 * cell.seed + cell.train.lr) for cell in cells]
    experiment = opened(tmp_path, RANGES, "search.sampler=optuna", "search.warm_start=true")
    (column,) = columns(experiment)
    found = {told.point: told.mean for told in told_at_first(column, finished)}
    # Out of the ranges are lr = 0.9 and alpha = 3; the mean is over the seeds of the search.
    assert found == {
        Point("erm", (("train.lr", 0.1),)): pytest.approx(0.15),
        Point("mixup", (("alpha", 0.2), ("train.lr", 0.1))): pytest.approx(0.15),
        Point("mixup", (("alpha", 0.5), ("train.lr", 0.1))): pytest.approx(0.15),
    }
    simulated = Simulated(experiment)
    simulated.kept = simulated.kept.model_copy(update={"told": {place(column): told_at_first(column, finished)}})
    simulated.drive()
    asked = {point for points in simulated.kept.asked.values() for point in points}
    assert not asked & found.keys(), "what was told is not asked for"


def test_cells_of_another_training_or_with_a_seed_too_few_are_not_told(tmp_path: Path) -> None:
    (column,) = columns(opened(tmp_path, RANGES, "search.sampler=optuna", "search.warm_start=true"))
    others = expand(opened(tmp_path, LISTED, "train.momentum=0.5")) + expand(opened(tmp_path, LISTED, "seed=[1]"))
    assert told_at_first(column, [FinishedCell(cell.key, cell.params(), 0.1) for cell in others]) == ()
