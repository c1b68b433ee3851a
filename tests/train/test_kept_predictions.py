"""What a test keeps of each image."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from trainings import CPU, FEW, make_cell, random_dataset, run

from orchestrator.data import Dataset, Split, load_dataset
from orchestrator.storage import LOGITS_UP_TO, Predictions
from orchestrator.train import disk_full
from orchestrator.train.cell import train_cell
from orchestrator.train.predictions import predictions_of


def dataset_of(num: int, num_classes: int) -> Dataset:
    """A data set with so many test images; its pixels are of no interest."""
    names = tuple(f"c{label}" for label in range(num_classes))
    labels = torch.randint(num_classes, (num,), generator=torch.Generator().manual_seed(num))
    return replace(random_dataset(), test=Split(torch.arange(num), labels), class_names=names, test_hash="f" * 64)


def logits_of(num: int, num_classes: int) -> torch.Tensor:
    return 3 * torch.randn(num, num_classes, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("world_size", [1, 2, 3, 40])
def test_they_are_in_the_order_of_the_split_whatever_the_number_of_ranks(world_size: int) -> None:
    dataset, logits = dataset_of(31, 4), logits_of(31, 4)
    gathered = torch.cat([logits[rank::world_size] for rank in range(world_size)])
    found = predictions_of(gathered, dataset, world_size=world_size)
    assert found.labels.tolist() == dataset.test.labels.tolist()
    assert found.predicted.tolist() == logits.argmax(dim=1).tolist()
    probabilities = logits.double().softmax(dim=1)
    truth = probabilities[torch.arange(31), dataset.test.labels]
    np.testing.assert_allclose(found.true_probability, truth, rtol=1e-6)
    np.testing.assert_allclose(found.confidence, probabilities.amax(dim=1), rtol=1e-6)
    assert found.logits is not None
    np.testing.assert_allclose(softmax(found.logits.astype(float), axis=1), probabilities, rtol=1e-2)
    assert (found.order, found.groups) == ("f" * 64, None)


@pytest.mark.parametrize(
    ("num_classes", "dtype", "has_logits"),
    [
        (2, np.uint8, True),
        (LOGITS_UP_TO, np.uint8, True),
        (LOGITS_UP_TO + 1, np.uint8, False),
        (256, np.uint8, False),
        (257, np.uint16, False),
    ],
)
def test_they_take_little_room(num_classes: int, dtype: type, has_logits: bool) -> None:
    found = predictions_of(logits_of(20, num_classes), dataset_of(20, num_classes), world_size=1)
    assert found.labels.dtype == found.predicted.dtype == dtype
    assert (found.logits is not None) == has_logits


def test_certainty_stays_finite() -> None:
    """A probability of exp(-3e5) is 0 in every float, and 3e5 is beyond half precision."""
    logits = torch.tensor([[3e5, 0.0], [0.0, 3e5], [1e-3, 0.0]])
    dataset = replace(dataset_of(3, 2), test=Split(torch.arange(3), torch.tensor([1, 1, 0])))
    found = predictions_of(logits, dataset, world_size=1)
    assert found.loss.tolist() == [3e5, 0.0, pytest.approx(np.log1p(np.exp(-1e-3)), abs=1e-7)]
    assert found.logits is not None
    assert np.isfinite(found.logits).all()
    with pytest.raises(ValueError, match="not finite"):
        predictions_of(logits * torch.inf, dataset, world_size=1)


def calibration_error(found: Predictions) -> float:
    bins = np.minimum((found.confidence * 15).astype(int), 14)
    gaps = (found.predicted == found.labels) - found.confidence.astype(float)
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(found))


def test_the_metrics_of_a_training_follow_from_them(few_digits: Dataset, tmp_path: Path) -> None:
    dataset = replace(few_digits, test_groups=torch.arange(len(few_digits.test)) // 2)
    trained = run(make_cell(num_train=FEW, epochs=2), dataset, tmp_path)
    metrics, found = trained.result.metrics, Predictions.load(tmp_path / "predictions.npz")
    assert found is not None
    assert (found.predicted != found.labels).mean() == metrics["test/error"]
    assert found.loss.mean(dtype=float) == pytest.approx(metrics["test/loss"], rel=1e-6)
    expected = pytest.approx(metrics["test/balanced_accuracy"], abs=1e-12)
    assert balanced_accuracy_score(found.labels, found.predicted) == expected
    assert calibration_error(found) == pytest.approx(metrics["test/ece"], abs=1e-6)
    assert found.logits is not None
    scores = softmax(found.logits.astype(float), axis=1)
    assert roc_auc_score(found.labels, scores, multi_class="ovr") == pytest.approx(metrics["test/auroc"], abs=1e-4)
    assert found.groups is not None
    assert found.groups.tolist() == dataset.test_groups.tolist()  # type: ignore[union-attr]


def test_their_order_is_that_of_the_test_images_alone(digits: Dataset, few_digits: Dataset, tmp_path: Path) -> None:
    assert few_digits.split_hash != digits.split_hash
    assert few_digits.test_hash == digits.test_hash
    folds = [load_dataset("digits", tmp_path, folds=2, fold=fold) for fold in (0, 1)]
    assert len({digits.test_hash, *(fold.test_hash for fold in folds)}) == 3


def test_on_a_full_disk_the_test_waits_for_them(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_full, "RETRY_EVERY_S", 0)
    save, said = Predictions.save, []

    def save_when_told(predictions: Predictions, path: Path) -> None:
        if len(said) < 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(predictions, path)

    monkeypatch.setattr(Predictions, "save", save_when_told)
    options: dict[str, Any] = {"device": CPU, "report": lambda _: None, "on_full_disk": said.append}
    train_cell(make_cell(num_train=FEW, epochs=1), few_digits, checkpoint_dir=tmp_path, **options)
    assert len(said) == 2
    assert Predictions.load(tmp_path / "predictions.npz") is not None
