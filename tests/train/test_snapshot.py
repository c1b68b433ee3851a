"""What is in the files of a training: a change of a key would lose every training that is under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from trainings import PollUntil, make_cell, random_dataset, run

from orchestrator.records import CellResult, EpochResult
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.train import requests
from orchestrator.train.requests import StoppedError
from orchestrator.train.snapshot import Finished, Snapshot, from_state

CELL = make_cell(epochs=2, batch_size_per_worker=8)
EPOCH = ["epoch", "metrics", "timestamp_ms"]


@pytest.fixture
def _polls_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "POLL_EVERY_S", 0)


def read(path: Path) -> dict[str, Any]:
    state = checkpoint.load(path)
    assert state is not None
    return state


@pytest.mark.usefixtures("_polls_after_every_step")
def test_the_keys_of_a_checkpoint_are_what_they_were(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        # Four steps and the four batches of the validation make an epoch.
        run(CELL, random_dataset(), tmp_path, poll=PollUntil(10))
    folder = CellFolder(tmp_path)
    assert folder.points() == [Point(1, 2), Point(1)]
    between, within = (read(folder.point(point)) for point in (Point(1), Point(1, 2)))
    for state in (between, within):
        assert list(state) == [
            "split_hash",
            "history",
            "result",
            "epoch",
            "underway",
            "model",
            "optimizer",
            "schedule",
        ]
        assert (state["split_hash"], state["result"], state["epoch"]) == ("random", None, 1)
        assert [list(entry) for entry in state["history"]] == [EPOCH]
        assert list(state["optimizer"]) == ["state", "param_groups"]
        assert state["schedule"]["last_epoch"] in (4, 6)
    assert between["underway"] is None
    underway = within["underway"]
    assert list(underway) == ["lr", "step", "seconds", "ranks"]
    assert underway["step"] == 2
    (own,) = underway["ranks"]
    assert list(own) == ["generator", "torch", "cuda", "loss_sum"]
    assert (own["generator"].dtype, own["torch"].dtype, own["cuda"]) == (torch.uint8, torch.uint8, None)
    assert own["loss_sum"].shape == ()


def test_the_keys_of_a_finished_cell_are_what_they_were(tmp_path: Path) -> None:
    run(CELL, random_dataset(), tmp_path)
    folder = CellFolder(tmp_path)
    best, result = read(folder.best), read(folder.result)
    assert list(best) == ["model", "epoch", "data"]  # the last one is not in those of earlier versions
    assert list(result) == ["split_hash", "history", "result"]
    assert list(result["result"]) == ["metrics", "timestamp_ms", "first_step_ms"]
    assert [list(entry) for entry in result["history"]] == [EPOCH, EPOCH]


def test_what_is_written_is_read() -> None:
    """From the plain values that earlier versions wrote."""
    history = [{"epoch": 1, "metrics": {"val/error": 0.5}, "timestamp_ms": 1}]
    rank = {"generator": torch.ones(2), "torch": torch.ones(3), "cuda": None, "loss_sum": torch.tensor(0.5)}
    state = {
        "split_hash": "a hash",
        "history": history,
        "result": None,
        "epoch": 1,
        "underway": {"lr": 0.1, "step": 7, "seconds": 2.5, "ranks": [rank, rank]},
        "model": {"weight": torch.zeros(2)},
        "optimizer": {"state": {}},
        "schedule": {"last_epoch": 7},
    }
    snapshot = from_state(state)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.history == [EpochResult(epoch=1, metrics={"val/error": 0.5}, timestamp_ms=1)]
    assert snapshot.to_state() == state
    result = {"metrics": {"test/error": 0.5}, "timestamp_ms": 2, "first_step_ms": None}
    finished = from_state({"split_hash": "a hash", "history": history, "result": result})
    assert isinstance(finished, Finished)
    assert finished.result == CellResult(metrics={"test/error": 0.5}, timestamp_ms=2)
    assert finished.to_state() == {"split_hash": "a hash", "history": history, "result": result}
