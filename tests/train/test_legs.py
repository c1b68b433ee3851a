"""A training in legs, as a race has it, is the training that it would be in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainings import CPU, FEW, PollUntil, make_cell, numbers, run, same_weights

from orchestrator.data import Dataset
from orchestrator.records import CellResult, EpochResult, Paused
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.train.cell import train_cell
from orchestrator.train.requests import StoppedError

EPOCHS = 5
CELL = make_cell(num_train=FEW, epochs=EPOCHS, warmup_epochs=1, ema_decay=0.9)


def leg(dataset: Dataset, folder: Path, until: int | None) -> tuple[CellResult | Paused, list[EpochResult]]:
    history: list[EpochResult] = []
    ended = train_cell(
        CELL, dataset, checkpoint_dir=folder, device=CPU, report=history.append, until_epoch=until, poll=PollUntil()
    )
    return ended, history


def test_legs_are_one_training_bit_for_bit(few_digits: Dataset, tmp_path: Path) -> None:
    whole = run(CELL, few_digits, tmp_path / "whole")
    folder = tmp_path / "legs"
    for until in (1, 3):
        ended, history = leg(few_digits, folder, until)
        assert ended == Paused(until, history[-1].timestamp_ms)
        assert numbers(history) == numbers(whole.history[:until])
        assert not CellFolder(folder).result.exists(), "nothing is tested"
    trained = run(CELL, few_digits, folder)
    assert numbers(trained.history) == numbers(whole.history)
    assert trained.result.metrics == whole.result.metrics
    assert same_weights(trained.best_weights, whole.best_weights)


def test_what_is_there_already_is_reported_and_nothing_is_trained(few_digits: Dataset, tmp_path: Path) -> None:
    """E.g. after a kill before the end of the leg was told, or in a race whose rung is an earlier epoch."""
    _, first = leg(few_digits, tmp_path, 3)
    for until in (3, 2):
        ended, history = leg(few_digits, tmp_path, until)
        assert (ended, history) == (Paused(3, first[-1].timestamp_ms), first)
    leg(few_digits, tmp_path, EPOCHS)
    ended, _ = leg(few_digits, tmp_path, 2)
    assert isinstance(ended, CellResult), "one that is finished stays so"


def test_a_cell_that_waits_keeps_what_it_goes_on_from_and_the_best_epoch(few_digits: Dataset, tmp_path: Path) -> None:
    _, history = leg(few_digits, tmp_path, 4)
    best = min(history, key=lambda each: (each.metrics["val/error"], each.metrics["val/loss"]))
    assert set(CellFolder(tmp_path).points()) == {Point(4), Point(best.epoch)}


def test_one_that_is_further_in_the_middle_of_an_epoch_stays_there(few_digits: Dataset, tmp_path: Path) -> None:
    _, history = leg(few_digits, tmp_path, 2)
    with pytest.raises(StoppedError):
        run(CELL, few_digits, tmp_path, poll=PollUntil(2))
    (newest, *_) = CellFolder(tmp_path).points()
    assert newest.step > 0
    ended, _ = leg(few_digits, tmp_path, 2)
    assert ended == Paused(2, history[-1].timestamp_ms)
    assert CellFolder(tmp_path).points()[0] == newest
