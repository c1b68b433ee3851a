"""What a training promises of a GPU; on the CPU the same is tried with few images, so that these tests stay right."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_cells import BATCH_SIZE, ZETA, cell_of, dataset_of
from torch import Tensor
from torch.multiprocessing import spawn
from trainings import PollUntil, same_weights, weights_in

from orchestrator.experiment.arithmetic_spec import ArithmeticSpec
from orchestrator.experiment.cells import Cell
from orchestrator.records import EpochResult
from orchestrator.train.cell import train_cell
from orchestrator.train.feed import Mode, make_feed
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks
from orchestrator.train.requests import StoppedError

on_each = pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
STEPS = 6


def trained(
    cell: Cell, folder: Path, device: str, *, mode: Mode = "resident", stop_at: int | None = None
) -> list[EpochResult]:
    dataset, on = dataset_of(STEPS * BATCH_SIZE), torch.device(device, 0)
    feed = make_feed(dataset.images, on, mode=mode)
    history: list[EpochResult] = []
    poll = PollUntil(stop_at)
    train_cell(cell, dataset, checkpoint_dir=folder, device=on, report=history.append, feed=feed, poll=poll)
    return history


def losses(history: list[EpochResult]) -> list[float]:
    return [entry.metrics[name] for entry in history for name in ("train/loss", "val/loss")]


@on_each
@pytest.mark.parametrize("mode", ["resident", "streaming"])
def test_a_training_that_was_interrupted_has_the_same_bits(device: str, mode: Mode, tmp_path: Path) -> None:
    cell = cell_of(transform={"crop_padding": 1, "hflip": True}, ema_decay=0.9)
    whole = trained(cell, tmp_path / "whole", device, mode=mode)
    with pytest.raises(StoppedError):
        trained(cell, tmp_path / "stopped", device, mode=mode, stop_at=2)
    assert any(not path.name.endswith("-00000000.pt") for path in (tmp_path / "stopped").glob("0*-*.pt"))
    assert losses(trained(cell, tmp_path / "stopped", device, mode=mode)) == losses(whole)
    assert same_weights(weights_in(tmp_path / "whole" / "best.pt"), weights_in(tmp_path / "stopped" / "best.pt"))


@pytest.mark.gpu
@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_training_goes_on_on_another_device(first: str, then: str, tmp_path: Path) -> None:
    cell = cell_of(ema_decay=0.9, optimizer="adamw", momentum=None)
    with pytest.raises(StoppedError):
        trained(cell, tmp_path, first, stop_at=2)
    assert [entry.epoch for entry in trained(cell, tmp_path, then)] == [1, 2]


@on_each
def test_what_is_saved_is_on_the_cpu(device: str, tmp_path: Path) -> None:
    trained(cell_of(), tmp_path, device)
    state = torch.load(tmp_path / "best.pt", weights_only=True)
    assert {tensor.device.type for tensor in state["model"].values()} == {device}
    assert {tensor.device.type for tensor in weights_in(tmp_path / "best.pt").values()} == {"cpu"}


def steps_of(cell: Cell, *, num: int = 3, cuda_graphs: bool = False, device: str = "cuda") -> list[Tensor]:
    """The losses of steps, of which all but the first two must not wait for the GPU."""
    dataset, on = dataset_of(), torch.device(device, 0)
    learner = Learner(
        cell, dataset, device=on, ranks=Ranks(on), backend="auto", steps_per_epoch=num, cuda_graphs=cuda_graphs
    )
    pixels, labels = dataset.images.to(on), dataset.train.labels.to(on)
    generator = torch.Generator(on).manual_seed(0)
    found = [learner.step(pixels, labels, generator).clone() for _ in range(2)]
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        found += [learner.step(pixels, labels, generator).clone() for _ in range(num)]
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return found


@on_each
@pytest.mark.parametrize("settings", [{}, {"class_weights": "balanced", "clip_grad_norm": 1.0, "ema_decay": 0.9}])
def test_no_step_waits_for_the_gpu(device: str, settings: dict[str, Any]) -> None:
    assert all(loss.isfinite() for loss in steps_of(cell_of(**settings), device=device))


def arithmetic(cell: Cell, **values: Any) -> Cell:
    return cell.model_copy(update={"arithmetic": ArithmeticSpec.model_validate(values)})


@pytest.mark.gpu
def test_a_compiled_step_has_the_numbers_of_the_usual_one_and_a_graph_its_bits() -> None:
    usual = cell_of(ZETA, precision="fp32")
    expected = torch.stack(steps_of(arithmetic(usual, tf32="none")))
    compiled = torch.stack(steps_of(arithmetic(usual, tf32="none", compile="default")))
    torch.testing.assert_close(compiled, expected, rtol=1e-3, atol=1e-4)
    launched = torch.stack(steps_of(arithmetic(usual, tf32="none", compile="default"), cuda_graphs=True))
    assert torch.equal(launched, compiled)


def trained_elsewhere(_: int, cell: Cell, folder: Path, device: str) -> None:
    """Go on with a training in this process, whose kernels are chosen anew, and write its losses."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled")
    torch.set_num_threads(1)
    (folder / "losses.json").write_text(json.dumps(losses(trained(cell, folder, device))))


@on_each
def test_a_compiled_training_that_another_process_goes_on_with_has_the_same_bits(device: str, tmp_path: Path) -> None:
    cell = arithmetic(cell_of(precision="fp32" if device == "cpu" else "bf16"), compile="default")
    whole = trained(cell, tmp_path / "whole", device)
    with pytest.raises(StoppedError):
        trained(cell, tmp_path / "stopped", device, stop_at=2)
    spawn(trained_elsewhere, (cell, tmp_path / "stopped", device))
    assert json.loads((tmp_path / "stopped" / "losses.json").read_text()) == losses(whole)
    assert same_weights(weights_in(tmp_path / "whole" / "best.pt"), weights_in(tmp_path / "stopped" / "best.pt"))


@pytest.mark.gpu
def test_graphs_of_many_networks_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.train.compiling.MAX_RECORDED", 4)
    cell, taken = arithmetic(cell_of(ZETA), compile="default"), list[int]()
    for seed in range(24):
        steps_of(cell.model_copy(update={"seed": seed}), cuda_graphs=True)
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info()
        taken.append(total - free - torch.cuda.memory_reserved())
    # All that four networks left is there at the eighth, too.
    assert max(taken[8:]) <= max(taken[:8]) + 2**25


@pytest.mark.gpu
def test_nothing_is_compiled_again_for_a_cell_of_the_same_kind() -> None:
    stats = torch._dynamo.utils.counters["stats"]
    cell = arithmetic(cell_of(ZETA), compile="default")
    steps_of(cell)
    before = stats["unique_graphs"]
    steps_of(cell.model_copy(update={"seed": 1}))
    assert stats["unique_graphs"] == before


@pytest.mark.gpu
def test_a_share_of_the_memory_is_all_that_there_is() -> None:
    from orchestrator.train.gpu_share import claim_share

    device = torch.device("cuda", 0)
    try:
        claim_share(device, 0.1)
        total = torch.cuda.get_device_properties(device).total_memory
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(total // 5, dtype=torch.uint8, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
