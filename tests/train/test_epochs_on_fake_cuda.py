"""Whole trainings on CUDA tensors without a GPU: feeds, evaluation, audit, and checkpoints that change the device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_cells import BATCH_SIZE, build_tiny, cell_of, dataset_of
from torch import Tensor
from trainings import CPU, PollUntil

from orchestrator.experiment.cells import Cell
from orchestrator.models.registry import MODELS
from orchestrator.records import CellResult, EpochResult
from orchestrator.train.cell import train_cell
from orchestrator.train.feed import Mode, make_feed
from orchestrator.train.learner import Learner
from orchestrator.train.requests import StoppedError
from zetasweep.testing import FakeCuda, fake_cuda

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, on which the same is tried")


@pytest.fixture
def _steps_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Learner.step

    def strictly(learner: Learner, *arguments: Any) -> Tensor:
        with CURRENT[0].no_waits():
            return step(learner, *arguments)

    monkeypatch.setattr(Learner, "step", strictly)


CURRENT: list[FakeCuda] = []


@pytest.fixture
def cuda(_steps_never_wait: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    monkeypatch.setitem(MODELS, "tiny", build_tiny)
    with fake_cuda() as cuda:
        CURRENT[:] = [cuda]
        yield cuda


def trained(cuda: FakeCuda, cell: Cell, folder: Path, *, mode: Mode = "resident", steps: int = 2) -> CellResult:
    dataset = dataset_of(steps * BATCH_SIZE)
    feed = make_feed(dataset.images, cuda.device, mode=mode)
    return train_cell(cell, dataset, checkpoint_dir=folder, device=cuda.device, report=lambda _: None, feed=feed)


@pytest.mark.parametrize("mode", ["resident", "streaming"])
def test_a_training_is_audited_evaluated_and_kept(mode: Mode, cuda: FakeCuda, tmp_path: Path) -> None:
    result = trained(cuda, cell_of(model="tiny", ema_decay=0.9, epochs=1), tmp_path, mode=mode)
    assert {"test/error", "best/error", "best/epoch"} <= result.metrics.keys()
    assert {"best.pt", "result.pt", "predictions.npz"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "audit").is_dir()


def test_an_epoch_waits_as_often_however_many_steps_it_has(cuda: FakeCuda, tmp_path: Path) -> None:
    counts = []
    for steps in (2, 4):
        before = len(cuda.waits)
        trained(cuda, cell_of(model="tiny", epochs=1), tmp_path / str(steps), steps=steps)
        counts.append(len(cuda.waits) - before)
    assert counts[0] == counts[1]


def test_a_streamed_batch_is_waited_for_by_the_training_s_stream(cuda: FakeCuda) -> None:
    dataset = dataset_of(3 * BATCH_SIZE)
    feed = make_feed(dataset.images, cuda.device, mode="streaming")
    with cuda.no_waits():
        batches = list(feed.batches(list(torch.arange(3 * BATCH_SIZE).split(BATCH_SIZE))))
    assert [(batch.device, len(batch)) for batch in batches] == [(cuda.device, BATCH_SIZE)] * 3
    for done in ("a side stream records an event", "the training waits for an event", "the training uses a tensor"):
        assert cuda.streams.count(done) == 3


@pytest.mark.parametrize("to", ["cuda", "cpu"])
def test_a_training_of_a_gpu_goes_on_there_and_on_a_cpu(to: str, cuda: FakeCuda, tmp_path: Path) -> None:
    cell, dataset = cell_of(model="tiny", ema_decay=0.9, optimizer="adamw", momentum=None), dataset_of(2 * BATCH_SIZE)
    with pytest.raises(StoppedError):
        stop(cell, tmp_path, cuda.device)
    reported: list[EpochResult] = []
    device = cuda.device if to == "cuda" else CPU
    train_cell(cell, dataset, checkpoint_dir=tmp_path, device=device, report=reported.append)
    assert [entry.epoch for entry in reported] == [1, 2]


def test_a_training_of_a_cpu_goes_on_on_a_gpu(cuda: FakeCuda, tmp_path: Path) -> None:
    cell = cell_of(model="tiny", ema_decay=0.9, optimizer="adamw", momentum=None)
    with pytest.raises(StoppedError):
        stop(cell, tmp_path, CPU)
    assert "test/error" in trained(cuda, cell, tmp_path).metrics


def stop(cell: Cell, folder: Path, device: torch.device) -> None:
    """End a training after the first step."""
    train_cell(
        cell,
        dataset_of(2 * BATCH_SIZE),
        checkpoint_dir=folder,
        device=device,
        report=lambda _: None,
        poll=PollUntil(1),
    )
