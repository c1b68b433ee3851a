"""Trainings for the tests of the training loop."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from orchestrator.data import Dataset, Split
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.models.registry import build_model
from orchestrator.records import CellResult, EpochResult
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.storage.cell_folder import Point
from orchestrator.train.cell import train_cell
from orchestrator.train.metrics import compute_metrics
from orchestrator.train.requests import Poll, Request
from orchestrator.train.seeds import MODEL, derive_seed

CPU = torch.device("cpu")
# Imported by the first evaluation: patched here, it is patched there.
COMPUTE_METRICS, JUDGE_TEST = (f"orchestrator.train.metrics.{name}" for name in ("compute_metrics", "judge_test"))
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


class PollUntil:
    """Lets a training go on until it has been asked so often."""

    def __init__(self, last: int | None = None, request: Request = Request.STOP) -> None:
        self._last, self._request = last, request
        self.asked = 0

    def __call__(self) -> Request:
        self.asked += 1
        return self._request if self.asked == self._last else Request.GO_ON


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
        return weights_in(self.folder / "best.pt")


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


def run(
    cell: Cell, dataset: Dataset, folder: Path, *, stop_after: int | None = None, poll: Poll | None = None
) -> Trained:
    history: list[EpochResult] = []

    def report(result: EpochResult) -> None:
        history.append(result)
        kept, saved = folder / f"epoch-{result.epoch}.pt", folder / Point(result.epoch).file_name
        if saved.exists() and not kept.exists():
            shutil.copy(saved, kept)
        if result.epoch == stop_after:
            raise InterruptedTrainingError

    options = {"poll": poll} if poll is not None else {}
    result = train_cell(cell, dataset, checkpoint_dir=folder, device=CPU, report=report, **options)
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
    timings = ("train/images_per_s", "train/epoch_s")
    return [{name: value for name, value in entry.metrics.items() if name not in timings} for entry in history]


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
        "digits",
        images,
        split,
        split,
        split,
        class_names=names,
        mean=(0.5,),
        std=(0.3,),
        split_hash="random",
        groups="none",
        test_hash="random",
    )


def initial_weights(cell: Cell) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(cell.seed, MODEL))
        return build_model("convnet", num_classes=10, num_channels=1, image_size=8).state_dict()
