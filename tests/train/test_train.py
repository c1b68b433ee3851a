from __future__ import annotations

import math
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor
from trainings import (
    COMPUTE_METRICS,
    CPU,
    FEW,
    JUDGE_TEST,
    Trained,
    evaluate,
    initial_weights,
    interrupt,
    make_cell,
    numbers,
    random_dataset,
    run,
    same_weights,
    weights_in,
)

from augment import AUGMENTATIONS, p_series_weights
from orchestrator.data import Dataset
from orchestrator.errors import CellError
from orchestrator.metric_names import CLASS_METRICS, METRICS
from orchestrator.storage.cell_folder import CellFolder, Point
from orchestrator.storage.checkpoints import Checkpoints
from orchestrator.train import learner
from orchestrator.train.audit import read_figures
from orchestrator.train.cell import train_cell
from orchestrator.train.learner import Learner
from orchestrator.train.metrics import JudgedTest, compute_metrics, judge_test
from orchestrator.train.ranks import Ranks


def test_learns(whole: Trained) -> None:
    assert whole.result.metrics["test/accuracy"] > 0.9
    losses = [entry.metrics["train/loss"] for entry in whole.history]
    assert losses == sorted(losses, reverse=True)


def test_reports_all_metrics_of_every_epoch(whole: Trained) -> None:
    validation = {f"val/{name}" for name in METRICS}
    assert [entry.epoch for entry in whole.history] == [1, 2, 3]
    for entry in whole.history:
        assert entry.metrics.keys() == {"train/loss", "train/lr", "train/images_per_s", "train/epoch_s", *validation}
        assert all(math.isfinite(value) for value in entry.metrics.values())
    times = [entry.timestamp_ms for entry in whole.history]
    assert times == sorted(times)
    assert whole.result.first_step_ms is not None
    assert whole.result.first_step_ms <= times[0] <= times[-1] <= whole.result.timestamp_ms


def test_result_is_the_test_and_the_epoch_best_on_validation(whole: Trained) -> None:
    metrics = whole.result.metrics
    recalls = {f"test/recall/{digit}" for digit in range(10)}
    of_classes = {f"test/{name}/{digit}" for name in CLASS_METRICS for digit in range(10)}
    assert metrics.keys() == {"best/epoch", *of_classes} | {
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


def test_finished_cell_reports_and_returns_the_same_without_training(
    whole: Trained, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(learner, "one_hot", refuse)
    monkeypatch.setattr(COMPUTE_METRICS, refuse)
    monkeypatch.setattr(JUDGE_TEST, refuse)
    again = run(make_cell(), digits, whole.folder)
    assert again == whole


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
def test_on_a_gpu_no_batch_waits_for_the_host(few_digits: Dataset) -> None:
    device = torch.device("cuda", 0)
    cell = make_cell(num_train=FEW, precision="bf16")
    learner = Learner(cell, few_digits, device=device, ranks=Ranks(device), backend="auto", steps_per_epoch=4)
    images = few_digits.images[few_digits.train.rows[:64]].to(device)
    labels = few_digits.train.labels[:64].to(device)
    generator = torch.Generator(device).manual_seed(0)
    learner.mixed(images, labels, few_digits.num_classes, generator)  # the first call compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        images, _ = learner.mixed(images, labels, few_digits.num_classes, generator)
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
        assert torch.equal(labels, few_digits.val.labels)
        evaluated.append("val")
        metrics = compute_metrics(logits, labels, **options)
        return metrics | {"error": metrics["error"] + (len(evaluated) != 2)}

    def remembered(logits: Tensor, labels: Tensor, **options: Any) -> JudgedTest:
        assert torch.equal(labels, few_digits.test.labels)
        evaluated.append("test")
        return judge_test(logits, labels, **options)

    monkeypatch.setattr(COMPUTE_METRICS, worse_but_in_epoch_2)
    monkeypatch.setattr(JUDGE_TEST, remembered)
    weights: list[dict[str, Tensor]] = []
    result = train_cell(
        make_cell(num_train=FEW),
        few_digits,
        checkpoint_dir=tmp_path,
        device=CPU,
        report=lambda result: weights.append(weights_in(tmp_path / Point(result.epoch).file_name)),
    )
    assert evaluated == ["val", "val", "val", "test"]
    assert result.metrics["best/epoch"] == 2
    assert not same_weights(weights[1], weights[2])
    tested = evaluate(weights[1], few_digits, few_digits.test)
    assert {name: result.metrics[f"test/{name}"] for name in METRICS} == pytest.approx(tested, rel=1e-4)


def test_of_two_epochs_alike_the_loss_decides_and_then_the_earlier(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.3, 0.3, 0.4])
    monkeypatch.setattr(COMPUTE_METRICS, lambda *_, **__: {"error": 0.1, "loss": next(losses)})
    trained = run(make_cell(num_train=FEW, epochs=4), few_digits, tmp_path)
    best = {name: value for name, value in trained.result.metrics.items() if name.startswith("best/")}
    assert best == {"best/error": 0.1, "best/loss": 0.3, "best/epoch": 2}


def test_divergence_fails_the_cell_and_leaves_the_last_good_epoch(few_digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"train\.lr"):
        run(make_cell(num_train=FEW, lr=1e12, clip_grad_norm=None), few_digits, tmp_path)
    newest = next(Checkpoints(CellFolder(tmp_path)).newest_first(), None)
    assert newest is None or all(tensor.isfinite().all() for tensor in newest[1]["model"].values())


def test_split_smaller_than_a_global_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"has 32 images, fewer than one global batch of 1 worker x 33"):
        run(make_cell(batch_size_per_worker=33), random_dataset(), tmp_path)


def test_model_that_does_not_suit_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CellError, match=r"image_size=4 is not allowed: at least 8 px for convnet"):
        run(make_cell(batch_size_per_worker=16), random_dataset(size=4), tmp_path)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_trains(name: str, tmp_path: Path) -> None:
    cell = make_cell(augment=name, epochs=1, batch_size_per_worker=32)
    trained = run(cell, random_dataset(), tmp_path)
    assert math.isfinite(trained.history[0].metrics["train/loss"])
    assert not same_weights(trained.weights, initial_weights(cell))


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
