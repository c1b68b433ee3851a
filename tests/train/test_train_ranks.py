"""A training on several ranks."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from rank_processes import run_ranks
from torch import Tensor
from trainings import (
    COMPUTE_METRICS,
    CPU,
    FEW,
    JUDGE_TEST,
    PollUntil,
    Trained,
    evaluate,
    interrupt,
    make_cell,
    numbers,
    run,
    same_weights,
)

from orchestrator.data import Dataset
from orchestrator.errors import CellError, UserError
from orchestrator.storage import Predictions
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.train import requests
from orchestrator.train.metrics import JudgedTest, compute_metrics, judge_test
from orchestrator.train.ranks import Ranks
from orchestrator.train.repeated_test import predict_again
from orchestrator.train.requests import StoppedError

# Three: with two, sums do not depend on their order, and no split here can be cut into three equal parts and two, too.
WORLD_SIZE = 3
# Small enough that every rank has a whole batch of the validation, too.
BATCH_SIZE = 8
RANKS_CELL = make_cell(workers=WORLD_SIZE, epochs=2, batch_size_per_worker=BATCH_SIZE, num_train=FEW)


@dataclass(frozen=True)
class RankReport:
    """What one rank saw.

    Attributes:
        whole: A training that nothing disturbed.
        resumed: The same, interrupted after its first epoch.
        stopped: The same, stopped among the steps of its second epoch since the last rank was asked to, and resumed.
        stopped_late: The same, stopped while its second epoch was validated.
        num_evaluated: Samples of this rank in each evaluation of `whole`, then of `resumed`.
        losses: This rank's loss in each step of `whole`, then of `resumed`.
        problem: What this rank raised when another one could not prepare.
        other_data: What it raised when the last rank had other data.
        pixels: What it remarked when each rank had decoded other pixels of the same files.
    """

    whole: Trained
    resumed: Trained
    stopped: Trained
    stopped_late: Trained
    num_evaluated: list[int]
    losses: list[float]
    problem: str
    other_data: str
    pixels: list[str]


def train_on_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dataset = torch.load(folder / "few_digits.pt", weights_only=False)
    num_evaluated: list[int] = []

    def counting(logits: Tensor, labels: Tensor, **options: Any) -> dict[str, float]:
        num_evaluated.append(len(labels))
        metrics = compute_metrics(logits, labels, **options)
        # The first epoch is the best, so that what is tested is not what the ranks hold at the end.
        return {**metrics, "error": 10 - metrics["loss"]}

    def counting_test(logits: Tensor, labels: Tensor, **options: Any) -> JudgedTest:
        num_evaluated.append(len(labels))
        return judge_test(logits, labels, **options)

    losses: list[float] = []
    cross_entropy = F.cross_entropy

    def remembering(logits: Tensor, targets: Tensor, **options: Any) -> Tensor:
        loss = cross_entropy(logits, targets, **options)
        if loss.requires_grad:
            losses.append(float(loss))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(COMPUTE_METRICS, counting)
        patch.setattr(JUDGE_TEST, counting_test)
        patch.setattr(F, "cross_entropy", remembering)
        whole = run(RANKS_CELL, dataset, folder / f"whole-{rank}")
        interrupt(RANKS_CELL, dataset, folder / f"resumed-{rank}", after=1)
        resumed = run(RANKS_CELL, dataset, folder / f"resumed-{rank}")
        seen = list(num_evaluated), list(losses)
        patch.setattr(requests, "POLL_EVERY_S", 0)
        stopped = stop_and_resume(rank, dataset, folder / f"stopped-{rank}", look=2, saved_step=2)
        num_steps = len(dataset.train) // (BATCH_SIZE * WORLD_SIZE)
        late = stop_and_resume(rank, dataset, folder / f"late-{rank}", look=num_steps + 1, saved_step=num_steps)
    problem = ""
    try:
        Ranks(CPU).agreed(lambda: fail_on_rank_1(rank))
    except UserError as error:
        problem = str(error)
    copy = replace(dataset, split_hash="f" * 64) if rank == WORLD_SIZE - 1 else dataset
    with pytest.raises(CellError) as raised:
        run(RANKS_CELL, copy, folder / f"other-{rank}")
    pixels = pixels_remarked(rank, dataset, folder / f"pixels-{rank}")
    report = RankReport(whole, resumed, stopped, late, *seen, problem, str(raised.value), pixels)
    torch.save(report, folder / f"{rank}.pt")


def pixels_remarked(rank: int, dataset: Dataset, folder: Path) -> list[str]:
    """Train where each rank has decoded other pixels of the same files; return what is remarked."""
    remarks: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: remarks.append(record.getMessage())  # type: ignore[method-assign]
    of_cell = logging.getLogger("orchestrator.train.cell")
    of_cell.addHandler(handler)
    try:
        interrupt(RANKS_CELL, replace(dataset, pixel_hash=f"of-rank-{rank}"), folder, after=1)
    finally:
        of_cell.removeHandler(handler)
    return remarks


def stop_and_resume(rank: int, dataset: Dataset, folder: Path, *, look: int, saved_step: int) -> Trained:
    """Asked of one rank only, all leave at the same step; the folder of rank 0 alone knows where to go on."""
    interrupt(RANKS_CELL, dataset, folder, after=1)
    with pytest.raises(StoppedError):
        run(RANKS_CELL, dataset, folder, poll=PollUntil(look if rank == WORLD_SIZE - 1 else None))
    if rank == 0:
        assert CellFolder(folder).points()[0] == Point(1, saved_step)
    return run(RANKS_CELL, dataset, folder)


def fail_on_rank_1(rank: int) -> str:
    if rank == 1:
        raise UserError("only rank 1 knows this")
    return "fine"


@pytest.fixture(scope="module")
def ranks(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[RankReport]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(few_digits, folder / "few_digits.pt")
    run_ranks(train_on_rank, folder, world_size=WORLD_SIZE)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD_SIZE)]


def test_all_ranks_have_the_same_results(ranks: list[RankReport]) -> None:
    for report in ranks[1:]:
        assert report.whole.history == ranks[0].whole.history
        assert report.whole.result == ranks[0].whole.result


@pytest.mark.parametrize("name", ["resumed", "stopped", "stopped_late"])
def test_ranks_that_went_on_end_the_same(ranks: list[RankReport], name: str) -> None:
    """Interrupted between two epochs, or stopped in the middle of one: in its training or its validation."""
    whole, others = ranks[0].whole, [getattr(report, name) for report in ranks]
    assert numbers(others[0].history) == numbers(whole.history)
    assert others[0].result.metrics == whole.result.metrics
    assert same_weights(others[0].weights, whole.weights)
    assert same_weights(others[0].best_weights, whole.best_weights)
    # The other ranks had empty folders of their own: they learned from rank 0 where to go on.
    assert [other.history for other in others] == [others[0].history] * WORLD_SIZE
    assert not any(other.folder.exists() for other in others[1:])


def test_training_loss_is_the_mean_over_ranks(ranks: list[RankReport]) -> None:
    num_steps = len(ranks[0].losses) // 4
    assert len({tuple(report.losses) for report in ranks}) == WORLD_SIZE
    for entry, begin in zip(ranks[0].whole.history, (0, num_steps), strict=True):
        losses = [loss for report in ranks for loss in report.losses[begin : begin + num_steps]]
        assert entry.metrics["train/loss"] == pytest.approx(fmean(losses), rel=1e-5)


def test_ranks_evaluate_every_sample_once(ranks: list[RankReport], few_digits: Dataset) -> None:
    sizes = [len(split) for split in (few_digits.val, few_digits.val, few_digits.test)]
    assert [sum(counts) for counts in zip(*(report.num_evaluated for report in ranks), strict=True)] == 2 * sizes
    assert sizes[-1] % WORLD_SIZE != 0, "the shards are unequal, so padding would show"


def test_ranks_evaluate_the_weights_that_are_saved(ranks: list[RankReport], few_digits: Dataset) -> None:
    whole = ranks[0].whole
    assert whole.result.metrics["best/epoch"] == 1
    for metrics, part, weights, split in (
        (whole.history[-1].metrics, "val", whole.weights, few_digits.val),
        (whole.result.metrics, "test", whole.best_weights, few_digits.test),
    ):
        expected = evaluate(weights, few_digits, split)
        del expected["error"]
        assert {name: metrics[f"{part}/{name}"] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_ranks_keep_the_predictions_that_one_process_computes(
    ranks: list[RankReport], few_digits: Dataset, tmp_path: Path
) -> None:
    """To the byte: in the order of the split, each image in a batch of the same images."""
    kept = [Predictions.load(CellFolder(trained.folder).predictions) for trained in (ranks[0].whole, ranks[0].resumed)]
    again = predict_again(RANKS_CELL, few_digits, CellFolder(ranks[0].whole.folder))
    again.save(tmp_path / "again.npz")
    assert again.labels.tolist() == few_digits.test.labels.tolist()
    for found in kept:
        assert found is not None
        found.save(tmp_path / "kept.npz")
        assert (tmp_path / "kept.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_error_of_one_rank_is_raised_on_all(ranks: list[RankReport]) -> None:
    assert [report.problem for report in ranks] == ["only rank 1 knows this"] * WORLD_SIZE


def test_ranks_with_different_copies_of_the_data_do_not_train(ranks: list[RankReport], few_digits: Dataset) -> None:
    (message,) = {report.other_data for report in ranks}
    host = socket.gethostname()
    assert message.startswith("digits does not consist of the same files and labels everywhere")
    assert f"\n  {few_digits.split_hash[:16]}: {host}\n  {'f' * 16}: {host}\n  remedy: " in message


def test_ranks_with_other_pixels_of_the_same_files_train_and_that_is_said_once(ranks: list[RankReport]) -> None:
    (remark,) = [remark for report in ranks for remark in report.pixels]
    hashes = "; ".join(f"of-rank-{rank}: {socket.gethostname()}" for rank in range(WORLD_SIZE))
    assert f"do not have the same pixels everywhere (hash of them: machines): {hashes}" in remark
