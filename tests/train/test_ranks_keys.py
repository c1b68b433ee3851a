"""The keys of ``train`` on two ranks: what one process would make of the same batches, interrupted or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_processes import run_ranks
from reference_loop import Recipe, train_plainly
from torch import Tensor, nn
from trainings import PollUntil, Trained, interrupt, make_cell, numbers, random_dataset, run, same_weights

from orchestrator.experiment.cells import Cell
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.train import requests, starting_weights
from orchestrator.train.learner import Learner
from orchestrator.train.requests import StoppedError
from orchestrator.train.snapshot import evaluated_weights

KEYS: dict[str, Any] = {
    **{"epochs": 2, "batch_size_per_worker": 4, "lr": 0.05, "weight_decay": 0.1, "nesterov": True, "accumulate": 3},
    **{"ema_decay": 0.7, "label_smoothing": 0.2},
}


def without_batch_norm(*_: object, **__: object) -> nn.Module:
    """Of which one batch of the ranks' is the mean of theirs."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def plain_cell() -> Cell:
    cell = make_cell(augment="erm", workers=2, **KEYS)
    return cell.model_copy(update={"dataset": cell.dataset.model_copy(update={"crop_padding": 0})})


# With batch norm, whose running statistics each rank has of its own between two settlements.
MIXED_CELL = make_cell(workers=2, **(KEYS | {"optimizer": "adamw", "mixing_off_epochs": 1}))


@dataclass(frozen=True)
class RankReport:
    """What one rank saw.

    Attributes:
        plain: The weights after the last epoch, and their average, of the cell without batch norm.
        whole: A training of the other cell that nothing disturbed.
        resumed: The same, interrupted after its first epoch.
        stopped: The same, asked of the other rank in the middle of a step of the second epoch to stop.
        averages: What this rank evaluated in `whole`.
    """

    plain: tuple[dict[str, Tensor], dict[str, Tensor]]
    whole: Trained
    resumed: Trained
    stopped: Trained
    averages: list[dict[str, Tensor]]


def train_on_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dataset = random_dataset()
    averages: list[dict[str, Tensor]] = []
    settle = Learner.settle_buffers

    def settled(self: Learner) -> None:
        settle(self)
        averages.append({name: tensor.clone() for name, tensor in self.evaluated.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starting_weights, "build_model", without_batch_norm)
        trained = run(plain_cell(), dataset, folder / f"plain-{rank}")
        plain = ends_of(trained) if rank == 0 else ({}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "settle_buffers", settled)
        whole = run(MIXED_CELL, dataset, folder / f"whole-{rank}")
    interrupt(MIXED_CELL, dataset, folder / f"resumed-{rank}", after=1)
    resumed = run(MIXED_CELL, dataset, folder / f"resumed-{rank}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "POLL_EVERY_S", 0)
        interrupt(MIXED_CELL, dataset, folder / f"stopped-{rank}", after=1)
        with pytest.raises(StoppedError):
            # The second batch of three.
            run(MIXED_CELL, dataset, folder / f"stopped-{rank}", poll=PollUntil(2 if rank == 1 else None))
        if rank == 0:
            assert CellFolder(folder / "stopped-0").points()[0] == Point(1, 1)
        stopped = run(MIXED_CELL, dataset, folder / f"stopped-{rank}")
    torch.save(RankReport(plain, whole, resumed, stopped, averages), folder / f"{rank}.pt")


def ends_of(trained: Trained) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    state = checkpoint.load(trained.folder / f"epoch-{len(trained.history)}.pt")
    assert state is not None
    return state["model"], evaluated_weights(state)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[RankReport]:
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(train_on_rank, folder, world_size=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.slow
def test_two_ranks_train_as_torch_does_with_their_batches(ranks: list[RankReport]) -> None:
    """Four batches of each make steps of 3 and of 1 of them: of 6, and of 2."""
    recipe = Recipe(
        nn.CrossEntropyLoss(label_smoothing=0.2), options={"nesterov": True}, batches_per_step=6, ema_decay=0.7
    )
    for found, expected in zip(
        ranks[0].plain, train_plainly(plain_cell(), random_dataset(), without_batch_norm(), recipe), strict=True
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resumed", "stopped"])
def test_ranks_that_went_on_end_the_same(ranks: list[RankReport], name: str) -> None:
    whole, others = ranks[0].whole, [getattr(report, name) for report in ranks]
    assert numbers(others[0].history) == numbers(whole.history)
    assert others[0].result.metrics == whole.result.metrics
    assert same_weights(others[0].best_weights, whole.best_weights)
    assert [entry.metrics["train/mixed"] for entry in whole.history] == [1, 0]
    assert others[1].history == others[0].history
    assert others[1].result == others[0].result


@pytest.mark.slow
def test_all_ranks_evaluate_the_same_average(ranks: list[RankReport]) -> None:
    first, second = (report.averages for report in ranks)
    assert len(first) == 2
    assert all(same_weights(one, other) for one, other in zip(first, second, strict=True))
    best = int(ranks[0].whole.result.metrics["best/epoch"])
    assert same_weights(first[best - 1], ranks[0].whole.best_weights)
