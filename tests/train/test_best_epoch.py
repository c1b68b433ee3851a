"""Which epoch is tested."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from trainings import EPOCHS, make_cell, run

from orchestrator.data import Dataset
from orchestrator.metric_names import METRICS
from orchestrator.records import EpochResult, best_epoch

# Of an imbalanced set: the first epoch knows the frequent class alone.
EPOCH_METRICS = [
    {"error": 0.20, "loss": 0.9, "balanced_accuracy": 0.33, "f1_macro": 0.30, "auroc": 0.60},
    {"error": 0.25, "loss": 0.6, "balanced_accuracy": 0.70, "f1_macro": 0.55, "auroc": 0.85},
    {"error": 0.22, "loss": 0.7, "balanced_accuracy": 0.65, "f1_macro": 0.61, "auroc": 0.80},
    {"error": 0.30, "loss": 0.8, "balanced_accuracy": 0.60, "f1_macro": 0.50, "auroc": 0.91},
]


def history(*epochs: dict[str, float]) -> list[EpochResult]:
    return [
        EpochResult(number, {f"val/{name}": value for name, value in metrics.items()}, timestamp_ms=number)
        for number, metrics in enumerate(epochs, start=1)
    ]


@pytest.mark.parametrize(
    ("by", "number"),
    [("error", 1), ("loss", 2), ("balanced_accuracy", 2), ("f1_macro", 3), ("auroc", 4), ("last", 4)],
)
def test_the_epoch_is_the_best_by_the_metric_that_was_asked_for(by: str, number: int) -> None:
    assert best_epoch(history(*EPOCH_METRICS), by=by).epoch == number


def test_of_equal_epochs_the_lower_loss_decides_and_then_the_first() -> None:
    epochs = [{"auroc": 0.9, "loss": 0.5}, {"auroc": 0.9, "loss": 0.4}, {"auroc": 0.9, "loss": 0.4}]
    assert best_epoch(history(*epochs), by="auroc").epoch == 2


def test_an_epoch_without_a_number_is_never_the_best_of_several() -> None:
    epochs = [{"auroc": math.nan, "loss": 0.1}, {"auroc": 0.4, "loss": 0.5}, {"auroc": math.nan, "loss": 0.2}]
    assert best_epoch(history(*epochs), by="auroc").epoch == 2
    assert best_epoch(history(epochs[0]), by="auroc").epoch == 1


def test_an_epoch_without_the_metric_is_never_the_best_of_several() -> None:
    epochs = [{"loss": 0.1}, {"auroc": 0.4, "loss": 0.5}, {"loss": 0.2}]
    assert best_epoch(history(*epochs), by="auroc").epoch == 2
    assert best_epoch(history(epochs[0], epochs[2]), by="auroc").epoch == 1


@pytest.mark.parametrize("by", ["error", "loss", "auroc", "last"])
def test_a_training_tests_that_epoch_and_goes_on_to_the_same(by: str, few_digits: Dataset, tmp_path: Path) -> None:
    # So fast that it does not get better with every epoch.
    cell = make_cell(best_by=by, lr=1.0, num_train=None)
    whole = run(cell, few_digits, tmp_path / "whole")
    chosen = best_epoch(whole.history, by=by)
    assert whole.result.metrics["best/epoch"] == chosen.epoch
    assert whole.result.metrics["best/loss"] == chosen.metrics["val/loss"]
    if by == "last":
        assert chosen.epoch == EPOCHS
    elif by != "error":
        better = max if METRICS[by].higher_is_better else min
        assert chosen.metrics[f"val/{by}"] == better(entry.metrics[f"val/{by}"] for entry in whole.history)
