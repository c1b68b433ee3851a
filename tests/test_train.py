from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor

from augment import AUGMENTATIONS, p_series_weights
from orchestrator import audit, checkpoint, train, train_cli
from orchestrator.audit import read_figures
from orchestrator.batches import MODEL, derive_seed
from orchestrator.cells import Cell
from orchestrator.config import AugmentSpec, TrainSettings
from orchestrator.data import Dataset, Split, load_dataset
from orchestrator.dataset_spec import DatasetSpec
from orchestrator.errors import CellError, UserError
from orchestrator.metrics import METRICS, compute_metrics
from orchestrator.models import build_model
from orchestrator.records import EpochResult
from orchestrator.train import CellResult, train_cell

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
EPOCHS = 3
REQUIRED = {
    "zeta_mixup": {"gamma": 2.8, "num_mixed": 4},
    "zeta_mixup_range": {"gamma_low": 2.0, "gamma_high": 4.0, "num_mixed": 4},
    "cutmix_zeta_mixup": {"gamma": 2.8, "num_mixed": 4},
    "mixup_pseries": {"gamma": 2.8},
    "dirichlet": {"num_mixed": 4},
}
# Enough for every class in every split, and an epoch takes a moment.
FEW = 300


class InterruptedTrainingError(Exception):
    """What ends a training between two epochs."""


@dataclass(frozen=True)
class Trained:
    """A training and what it left."""

    result: CellResult
    history: list[EpochResult]
    folder: Path

    @property
    def weights(self) -> dict[str, Tensor]:
        """Those after the last epoch, before the best were loaded for the test."""
        return weights_in(self.folder / f"epoch-{len(self.history)}.pt")

    @property
    def best_weights(self) -> dict[str, Tensor]:
        return weights_in(self.folder / checkpoint.BEST)


def make_cell(
    *, augment: str = "zeta_mixup", seed: int = 0, workers: int = 1, num_train: int | None = None, **settings: Any
) -> Cell:
    options = {"epochs": EPOCHS, "precision": "fp32", "batch_size_per_worker": 64, **settings}
    return Cell(
        dataset=DatasetSpec.model_validate({"name": "digits", "num_train": num_train, "crop_padding": 1}),
        model="convnet",
        augment=AugmentSpec(name=augment, params=REQUIRED.get(augment, {})),
        seed=seed,
        train=TrainSettings.model_validate(options),
        workers=workers,
    )


def run(cell: Cell, dataset: Dataset, folder: Path, *, stop_after: int | None = None) -> Trained:
    history: list[EpochResult] = []

    def report(result: EpochResult) -> None:
        history.append(result)
        kept = folder / f"epoch-{result.epoch}.pt"
        if (folder / checkpoint.LAST).exists() and not kept.exists():
            shutil.copy(folder / checkpoint.LAST, kept)
        if result.epoch == stop_after:
            raise InterruptedTrainingError

    result = train_cell(cell, dataset, checkpoint_dir=folder, device=CPU, report=report)
    return Trained(result, history, folder)


def interrupt(cell: Cell, dataset: Dataset, folder: Path, *, after: int) -> None:
    with pytest.raises(InterruptedTrainingError):
        run(cell, dataset, folder, stop_after=after)


def weights_in(path: Path) -> dict[str, Tensor]:
    state = checkpoint.load(path)
    assert state is not None
    weights: dict[str, Tensor] = state["model"]
    return weights


def same_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def numbers(history: list[EpochResult]) -> list[dict[str, float]]:
    """The metrics of all epochs without the one that is a matter of time."""
    return [{name: value for name, value in entry.metrics.items() if name != "train/images_per_s"} for entry in history]


def evaluate(weights: dict[str, Tensor], dataset: Dataset, split: Split) -> dict[str, float]:
    """Metrics by the book: one process, one batch."""
    model = build_model("convnet", num_classes=10, num_channels=1, image_size=8)
    model.load_state_dict(weights)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))
    with torch.inference_mode():
        logits = model.eval()((dataset.images[split.rows] / 255 - mean) / std)
    return compute_metrics(logits, split.labels, num_classes=10)


def random_dataset(*, size: int = 8, num: int = 32) -> Dataset:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (num, 1, size, size), dtype=torch.uint8, generator=generator)
    split = Split(torch.arange(num), torch.arange(num) % 10)
    names = tuple("0123456789")
    return Dataset(
        "digits", images, split, split, split, class_names=names, mean=(0.5,), std=(0.3,), split_hash="random"
    )


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset("digits", tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset("digits", tmp_path_factory.getbasetemp(), num_train=FEW)


@pytest.fixture(scope="module")
def whole(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training that nothing disturbed."""
    return run(make_cell(), digits, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def resumed(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same training, interrupted after every epoch."""
    folder = tmp_path_factory.mktemp("resumed")
    for epoch in range(1, EPOCHS + 1):
        interrupt(make_cell(), digits, folder, after=epoch)
    return run(make_cell(), digits, folder)


def test_learns(whole: Trained) -> None:
    assert whole.result.metrics["test/accuracy"] > 0.9
    losses = [entry.metrics["train/loss"] for entry in whole.history]
    assert losses == sorted(losses, reverse=True)


def test_reports_all_metrics_of_every_epoch(whole: Trained) -> None:
    validation = {f"val/{name}" for name in METRICS}
    assert [entry.epoch for entry in whole.history] == [1, 2, 3]
    for entry in whole.history:
        assert entry.metrics.keys() == {"train/loss", "train/lr", "train/images_per_s", *validation}
        assert all(math.isfinite(value) for value in entry.metrics.values())
    times = [entry.timestamp_ms for entry in whole.history]
    assert times == sorted(times)
    assert whole.result.first_step_ms is not None
    assert whole.result.first_step_ms <= times[0] <= times[-1] <= whole.result.timestamp_ms


def test_result_is_the_test_and_the_epoch_best_on_validation(whole: Trained) -> None:
    metrics = whole.result.metrics
    recalls = {f"test/recall/{digit}" for digit in range(10)}
    assert metrics.keys() == {"best/epoch", *recalls} | {
        f"{part}/{name}" for part in ("test", "best") for name in METRICS
    }
    assert fmean(metrics[name] for name in recalls) == pytest.approx(metrics["test/balanced_accuracy"])
    best = whole.history[int(metrics["best/epoch"]) - 1].metrics
    assert {name: metrics[f"best/{name}"] for name in METRICS} == {name: best[f"val/{name}"] for name in METRICS}
    assert best["val/error"] == min(entry.metrics["val/error"] for entry in whole.history)


def test_evaluation_agrees_with_one_by_the_book(whole: Trained, digits: Dataset) -> None:
    last = evaluate(whole.weights, digits, digits.val)
    reported = whole.history[-1].metrics
    assert {name: reported[f"val/{name}"] for name in METRICS} == pytest.approx(last, rel=1e-4)
    best = evaluate(whole.best_weights, digits, digits.test)
    assert {name: whole.result.metrics[f"test/{name}"] for name in METRICS} == pytest.approx(best, rel=1e-4)


def test_interrupted_after_every_epoch_it_ends_the_same(whole: Trained, resumed: Trained) -> None:
    assert numbers(resumed.history) == numbers(whole.history)
    assert resumed.result.metrics == whole.result.metrics
    assert same_weights(resumed.weights, whole.weights)
    assert same_weights(resumed.best_weights, whole.best_weights)


def test_resumed_training_reports_its_past_unchanged(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW)
    first: list[EpochResult] = []

    def report(result: EpochResult) -> None:
        first.append(result)
        if result.epoch == 2:
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):
        train_cell(cell, few_digits, checkpoint_dir=tmp_path, device=CPU, report=report)
    again = run(cell, few_digits, tmp_path).history
    assert again[:2] == first
    assert [entry.epoch for entry in again] == [1, 2, 3]


def test_finished_cell_reports_and_returns_the_same_without_training(
    whole: Trained, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(train, "one_hot", refuse)
    monkeypatch.setattr(train, "compute_metrics", refuse)
    again = run(make_cell(), digits, whole.folder)
    assert again == whole


def test_killed_between_best_and_last_it_ends_the_same(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(num_train=FEW)
    undisturbed = run(cell, few_digits, tmp_path / "undisturbed")
    save = checkpoint.save

    def die_in_epoch_2(path: Path, state: dict[str, Any]) -> None:
        if path.name == checkpoint.LAST and state["epoch"] == 2:
            raise InterruptedTrainingError
        save(path, state)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", die_in_epoch_2)
        with pytest.raises(InterruptedTrainingError):
            run(cell, few_digits, tmp_path / "killed")
    killed = run(cell, few_digits, tmp_path / "killed")
    assert numbers(killed.history) == numbers(undisturbed.history)
    assert killed.result.metrics == undisturbed.result.metrics


def test_the_first_batch_is_audited_once(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW, epochs=2)
    interrupt(cell, few_digits, tmp_path, after=1)
    figures = read_figures(tmp_path / "audit")
    assert figures is not None
    assert figures.backend == "torch"
    assert figures.weights[:5] == pytest.approx([*p_series_weights(4, 2.8).tolist(), 0], abs=1e-6)
    run(cell, few_digits, tmp_path)
    assert read_figures(tmp_path / "audit") == figures
    # A training that has its audit already draws the same batches.
    shutil.copytree(tmp_path / "audit", tmp_path / "again" / "audit")
    again, whole = run(cell, few_digits, tmp_path / "again"), run(cell, few_digits, tmp_path / "whole")
    assert numbers(again.history) == numbers(whole.history)


def test_a_backend_that_cannot_run_fails_the_cell(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("augment.kernel.IS_INTERPRETED", False)
    with pytest.raises(CellError, match="backend=triton cannot run on cpu"):
        train_cell(
            make_cell(num_train=FEW),
            few_digits,
            checkpoint_dir=tmp_path,
            device=CPU,
            report=lambda _: None,
            backend="triton",
        )


@pytest.mark.gpu
def test_on_a_gpu_no_batch_waits_for_the_host(few_digits: Dataset, tmp_path: Path) -> None:
    device = torch.device("cuda", 0)
    cell = make_cell(num_train=FEW, precision="bf16")
    trainer = train._Trainer(cell, few_digits, checkpoint_dir=tmp_path, device=device, backend="auto")
    generator, indices = torch.Generator(device).manual_seed(0), torch.arange(64, device=device)
    pixels, labels = trainer.train_images[indices], trainer.train_labels[indices]
    trainer._mixed(pixels, labels, few_digits.num_classes, generator)  # the first call compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        images, _ = trainer._mixed(pixels, labels, few_digits.num_classes, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert images.dtype == torch.bfloat16


def test_another_seed_gives_other_numbers(few_digits: Dataset, tmp_path: Path) -> None:
    trained = [
        run(make_cell(seed=seed, epochs=1, num_train=FEW), few_digits, tmp_path / str(seed)) for seed in range(2)
    ]
    assert numbers(trained[0].history) != numbers(trained[1].history)
    assert not same_weights(trained[0].weights, trained[1].weights)


def test_global_generator_of_the_caller_does_not_matter(few_digits: Dataset, tmp_path: Path) -> None:
    trained = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        trained.append(run(make_cell(epochs=1, num_train=FEW), few_digits, tmp_path / str(seed)))
    assert numbers(trained[0].history) == numbers(trained[1].history)


def test_test_split_is_evaluated_once_with_the_weights_best_on_validation(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []

    def worse_but_in_epoch_2(logits: Tensor, labels: Tensor, **options: Any) -> dict[str, float]:
        metrics = compute_metrics(logits, labels, **options)
        (split,) = [name for name in ("val", "test") if torch.equal(labels, getattr(few_digits, name).labels)]
        evaluated.append(split)
        if split == "val" and len(evaluated) != 2:
            metrics["error"] += 1.0
        return metrics

    monkeypatch.setattr(train, "compute_metrics", worse_but_in_epoch_2)
    weights: list[dict[str, Tensor]] = []
    result = train_cell(
        make_cell(num_train=FEW),
        few_digits,
        checkpoint_dir=tmp_path,
        device=CPU,
        report=lambda _: weights.append(weights_in(tmp_path / checkpoint.LAST)),
    )
    assert evaluated == ["val", "val", "val", "test"]
    assert result.metrics["best/epoch"] == 2
    assert not same_weights(weights[1], weights[2])
    tested = evaluate(weights[1], few_digits, few_digits.test)
    assert {name: result.metrics[f"test/{name}"] for name in METRICS} == pytest.approx(tested, rel=1e-4)


def test_of_two_epochs_alike_the_loss_decides_and_then_the_earlier(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.3, 0.3, 0.4, 9.9])
    monkeypatch.setattr(train, "compute_metrics", lambda *_, **__: {"error": 0.1, "loss": next(losses)})
    trained = run(make_cell(num_train=FEW, epochs=4), few_digits, tmp_path)
    best = {name: value for name, value in trained.result.metrics.items() if name.startswith("best/")}
    assert best == {"best/error": 0.1, "best/loss": 0.3, "best/epoch": 2}


def test_divergence_fails_the_cell_and_leaves_the_last_good_epoch(few_digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"train\.lr"):
        run(make_cell(num_train=FEW, lr=1e12, clip_grad_norm=None), few_digits, tmp_path)
    state = checkpoint.load(tmp_path / checkpoint.LAST)
    assert state is None or all(tensor.isfinite().all() for tensor in state["model"].values())


def test_split_smaller_than_a_global_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"has 32 images, fewer than one global batch of 1 workers x 33"):
        run(make_cell(batch_size_per_worker=33), random_dataset(), tmp_path)


def test_model_that_does_not_suit_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"image_size=4 is too small for convnet"):
        run(make_cell(), random_dataset(size=4), tmp_path)


def test_checkpoint_of_other_data_is_refused(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW)
    interrupt(cell, few_digits, tmp_path, after=1)
    with pytest.raises(CellError, match="consisted of other files"):
        run(cell, replace(few_digits, split_hash="changed"), tmp_path)


def test_best_weights_of_another_training_are_not_tested(few_digits: Dataset, tmp_path: Path) -> None:
    cell = make_cell(num_train=FEW)
    interrupt(cell, few_digits, tmp_path, after=EPOCHS)
    best = checkpoint.load(tmp_path / checkpoint.BEST)
    assert best is not None
    checkpoint.save(tmp_path / checkpoint.BEST, {**best, "epoch": best["epoch"] - 1})
    with pytest.raises(CellError, match=r"best\.pt holds epoch"):
        run(cell, few_digits, tmp_path)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_trains(name: str, tmp_path: Path) -> None:
    cell = make_cell(augment=name, epochs=1, batch_size_per_worker=32)
    trained = run(cell, random_dataset(), tmp_path)
    assert math.isfinite(trained.history[0].metrics["train/loss"])
    assert not same_weights(trained.weights, initial_weights(cell))


def initial_weights(cell: Cell) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(cell.seed, MODEL))
        return build_model("convnet", num_classes=10, num_channels=1, image_size=8).state_dict()


def test_gradient_is_clipped_to_the_norm(tmp_path: Path) -> None:
    # One step with rate 1 and without momentum or decay moves the parameters by the gradient.
    moved = {}
    for clip in (None, 0.01):
        cell = make_cell(
            epochs=1, batch_size_per_worker=32, lr=1.0, momentum=0.0, weight_decay=0.0, clip_grad_norm=clip
        )
        after, before = run(cell, random_dataset(), tmp_path / str(clip)).weights, initial_weights(cell)
        parameters = [
            name for name in before if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        ]
        steps = torch.cat([(after[name] - before[name]).flatten() for name in parameters])
        moved[clip] = float(steps.norm())
    assert moved[None] > 0.1
    assert moved[0.01] == pytest.approx(0.01, rel=1e-3)


def test_bf16_computes_in_it_and_keeps_float32_weights(tmp_path: Path) -> None:
    trained = {
        precision: run(
            make_cell(epochs=1, batch_size_per_worker=32, precision=precision), random_dataset(), tmp_path / precision
        )
        for precision in ("fp32", "bf16")
    }
    losses = {precision: done.history[0].metrics["train/loss"] for precision, done in trained.items()}
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    floating = [tensor for tensor in trained["bf16"].weights.values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in floating} == {torch.float32}


def test_learning_rate_is_reported_for_the_epoch_it_was_used_in(tmp_path: Path) -> None:
    cell = make_cell(batch_size_per_worker=16, schedule="multistep", milestones=(1,), lr=0.1)
    trained = run(cell, random_dataset(), tmp_path)
    assert [entry.metrics["train/lr"] for entry in trained.history] == pytest.approx([0.1, 0.01, 0.01])


# --- several ranks -------------------------------------------------------------------------------------------------

# Three: with two, sums do not depend on their order, and no split here can be cut into three equal parts and two, too.
WORLD_SIZE = 3
RANKS_CELL = make_cell(workers=WORLD_SIZE, epochs=2, batch_size_per_worker=16, num_train=FEW)


@dataclass(frozen=True)
class RankReport:
    """What one rank saw.

    Attributes:
        whole: A training that nothing disturbed.
        resumed: The same, interrupted after its first epoch.
        num_evaluated: Samples of this rank in each evaluation of `whole`, then of `resumed`.
        losses: This rank's loss in each step of `whole`, then of `resumed`.
        problem: What this rank raised when another one could not prepare.
    """

    whole: Trained
    resumed: Trained
    num_evaluated: list[int]
    losses: list[float]
    problem: str


def train_on_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD_SIZE)
    dataset = torch.load(folder / "few_digits.pt", weights_only=False)
    num_evaluated: list[int] = []

    def counting(logits: Tensor, labels: Tensor, **options: Any) -> dict[str, float]:
        num_evaluated.append(len(labels))
        metrics = compute_metrics(logits, labels, **options)
        # The first epoch is the best, so that what is tested is not what the ranks hold at the end.
        return {**metrics, "error": 10 - metrics["loss"]}

    losses: list[float] = []
    cross_entropy = F.cross_entropy

    def remembering(logits: Tensor, targets: Tensor, **options: Any) -> Tensor:
        loss = cross_entropy(logits, targets, **options)
        if loss.requires_grad:
            losses.append(float(loss))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "compute_metrics", counting)
        patch.setattr(F, "cross_entropy", remembering)
        whole = run(RANKS_CELL, dataset, folder / f"whole-{rank}")
        interrupt(RANKS_CELL, dataset, folder / f"resumed-{rank}", after=1)
        resumed = run(RANKS_CELL, dataset, folder / f"resumed-{rank}")
    problem = ""
    try:
        train_cli._agreed(lambda: fail_on_rank_1(rank))
    except UserError as error:
        problem = str(error)
    torch.save(RankReport(whole, resumed, num_evaluated, losses, problem), folder / f"{rank}.pt")
    dist.destroy_process_group()


def fail_on_rank_1(rank: int) -> str:
    if rank == 1:
        raise UserError("only rank 1 knows this")
    return "fine"


@pytest.fixture(scope="module")
def ranks(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[RankReport]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(few_digits, folder / "few_digits.pt")
    # One process imports what takes seconds, and the ranks are copies of it.
    mp.set_forkserver_preload([__name__, "torch._dynamo", "torchmetrics.functional.classification"])
    mp.start_processes(train_on_rank, (folder,), nprocs=WORLD_SIZE, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD_SIZE)]


def test_all_ranks_have_the_same_results(ranks: list[RankReport]) -> None:
    for report in ranks[1:]:
        assert report.whole.history == ranks[0].whole.history
        assert report.whole.result == ranks[0].whole.result


def test_ranks_interrupted_and_resumed_end_the_same(ranks: list[RankReport]) -> None:
    whole, resumed = ranks[0].whole, ranks[0].resumed
    assert numbers(resumed.history) == numbers(whole.history)
    assert resumed.result.metrics == whole.result.metrics
    assert same_weights(resumed.weights, whole.weights)
    # The other ranks had empty folders of their own: they learned from rank 0 where to go on.
    assert [report.resumed.history for report in ranks] == [resumed.history] * WORLD_SIZE
    assert not any(report.resumed.folder.exists() for report in ranks[1:])


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


def test_error_of_one_rank_is_raised_on_all(ranks: list[RankReport]) -> None:
    assert [report.problem for report in ranks] == ["only rank 1 knows this"] * WORLD_SIZE


# --- the command line ----------------------------------------------------------------------------------------------

EXPERIMENT = f"""
name: tiny
dataset: {{digits: {{num_train: {FEW}}}}}
model: convnet
augment: [erm, mixup]
train: {{epochs: 2, batch_size_per_worker: 16}}
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    file = tmp_path / "tiny.yaml"
    file.write_text(f"{EXPERIMENT}storage: {tmp_path / 'runs'}\n")
    return file


def call(*arguments: str | Path) -> int:
    return train_cli.main(train_cell, [str(argument) for argument in arguments])


def keys_in(text: str) -> list[str]:
    return re.findall(r"^ +([0-9a-f]{16})  digits", text, flags=re.MULTILINE)


def test_torchrun_trains_a_cell(experiment: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    command = [Path(sys.executable).with_name("torchrun"), "--nproc-per-node", "2", "-m", "orchestrator.train"]
    options = [experiment, "-o", "resources.workers=2", "-o", "augment=mixup"]
    done = subprocess.run(
        [str(word) for word in (*command, *options)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs" / "cells").iterdir()
    state = checkpoint.load(folder / checkpoint.LAST)
    assert state is not None
    first, *lines = done.stdout.splitlines()
    assert first == f"{folder.name} digits(num_train={FEW}) convnet mixup(alpha=1.0) seed=0: 2 x cpu, fp32, in {folder}"
    for number, (line, entry) in enumerate(zip(lines[:2], state["history"], strict=True), start=1):
        assert line.startswith(f"epoch {number}/2: training loss {entry['metrics']['train/loss']:.4f}, ")
        assert f"validation error {100 * entry['metrics']['val/error']:.2f} %" in line
    assert lines[2].startswith(f"tested with the weights of epoch {state['result']['metrics']['best/epoch']:.0f}")
    metrics = {name: value for name, value in state["result"]["metrics"].items() if name.startswith("test/")}
    assert [line.split() for line in lines[3:]] == [[name, f"{value:.4f}"] for name, value in metrics.items()]


def test_one_process_trains_goes_on_and_repeats(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(experiment) == 2
    key, other = keys_in(capsys.readouterr().err)
    chosen = (experiment, "--cell", key[:6], "--checkpoint-dir", tmp_path / "mine")
    assert call(*chosen) == 0
    first = capsys.readouterr().out
    assert first.count("\nepoch ") == 2
    left = sorted(file.name for file in (tmp_path / "mine" / key).iterdir())
    assert left == [audit.FOLDER, checkpoint.BEST, checkpoint.LAST]
    assert call(*chosen) == 0
    assert capsys.readouterr().out == first, "what is finished is shown again and not trained again"
    assert not (tmp_path / "runs").exists()
    assert other != key


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "more than one cell: name one with --cell KEY\n  "),
        (["--cell", "xyz"], "--cell xyz: no cell has such a key\n  "),
        (["--cell", ""], "--cell : the keys of more than one cell begin like this\n  "),
        (["-o", "train.lr=-1"], "train.lr = -1\n"),
        (["-o", "dataset=cifar10", "-o", "augment=erm", "-o", "data_dir=/dev/null"], "cifar-10-batches-py"),
        (["-o", "augment=erm", "-o", "resources.workers=2"], "has 2 workers, but the number of processes started is 1"),
        (["-o", "augment=erm", "-o", "resources.workers=2"], "torchrun --nproc-per-node 2 -m orchestrator.train "),
        (["-o", "augment=erm", "-o", "storage=/dev/null/x"], "not writable"),
    ],
)
def test_wrong_input_is_said_without_a_traceback(
    arguments: list[str], expected: str, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(experiment, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_missing_file_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "absent.yaml") == 2
    assert "absent.yaml" in capsys.readouterr().err


def test_failed_cell_is_said_without_a_traceback(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(experiment, "-o", "augment=erm", "-o", "train.lr=1.0e+12") == 1
    assert re.match(r"error: .*train\.lr", capsys.readouterr().err)


def test_storage_of_a_sweep_at_work_is_left_alone(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.storage import Storage

    storage = Storage(tmp_path / "runs")
    storage.prepare()
    with storage.locked("tiny"):
        assert call(experiment, "-o", "augment=erm") == 2
    assert "a sweep is at work there" in capsys.readouterr().err
    assert not storage.cells_dir.exists()
