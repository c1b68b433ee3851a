"""A sampler is told of what was finished before: which configurations it was, the keys of the cells say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from simulated_races import EPOCHS, RANGES, Simulated, finished, opened

from orchestrator.experiment import columns, expand
from orchestrator.racing import FinishedCell, known_configurations, place, told_at_first
from orchestrator.records import Curve
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


def test_what_was_finished_before_may_win_and_costs_nothing(tmp_path: Path) -> None:
    """It was told to the sampler, and in neither race, table nor confirmation."""
    experiment = opened(tmp_path, RANGES, "search.sampler=optuna", "search.warm_start=true", "search.batch=3")
    listed = Simulated(opened(tmp_path, LISTED, "search={race: none}", "seed=[0,1]"))
    listed.drive()
    of_lr = [cell for cell in expand(listed.experiment) if cell.train.lr == 0.1]
    best = {cell.key for cell in of_lr if cell.augment.values.get("alpha") == 0.5}

    def error(key: str, _: int) -> float:
        return 0.1 if key in best else 0.9

    simulated = Simulated(experiment, of=lambda _, epoch: 0.5 + 0.01 * epoch)
    simulated.runs = {
        key: replace(run, curve=Curve.of(finished(key, EPOCHS, of=error), at=(2, 4, 8), by="error"))
        for key, run in listed.runs.items()
    }
    (column,) = columns(experiment)
    cells = [FinishedCell(cell.key, cell.params(), 0.1) for cell in expand(listed.experiment)]
    simulated.kept = simulated.kept.model_copy(update={"told": {place(column): told_at_first(column, cells)}})
    followed = simulated.drive()
    winner = followed.columns[0].winner
    assert winner is not None
    assert {*followed.columns[0].cells[winner]} == best
    assert not {key for key, _ in simulated.trained} & listed.runs.keys()
    assert [len(race.points) - len(race.known) for race in followed.columns[0].search.races] == [3, 3]
    assert followed.epochs.trained <= followed.epochs.at_most
    assert known_configurations(experiment, simulated.kept) == followed.configurations


def test_cells_of_another_training_or_with_a_seed_too_few_are_not_told(tmp_path: Path) -> None:
    (column,) = columns(opened(tmp_path, RANGES, "search.sampler=optuna", "search.warm_start=true"))
    others = expand(opened(tmp_path, LISTED, "train.momentum=0.5")) + expand(opened(tmp_path, LISTED, "seed=[1]"))
    assert told_at_first(column, [FinishedCell(cell.key, cell.params(), 0.1) for cell in others]) == ()
