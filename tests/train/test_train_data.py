"""What a cell does with its data: feeds, transforms, and classes of unequal size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from augment import one_hot
from orchestrator.data import Dataset, Split
from orchestrator.errors import CellError
from orchestrator.experiment.augment_spec import AugmentSpec
from orchestrator.experiment.cells import Cell
from orchestrator.experiment.dataset_spec import DatasetSpec
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.records import CellResult
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train import learner, starting_weights
from orchestrator.train.cell import train_cell
from orchestrator.train.class_weights import balanced_class_weights
from orchestrator.train.feed import Mode, make_feed

CPU = torch.device("cpu")
STORED, NUM = 16, 96
EVERYTHING = {
    "image_size": 12,
    "cache_size": STORED,
    "vflip": True,
    "rot90": True,
    "random_resized_crop": {"scale": (0.5, 1.0)},
    "color_jitter": {"brightness": 0.2, "saturation": 0.2, "hue": 0.1},
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Three classes of 60, 30 and 10 %, in places that are not in the order of the splits."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2 * NUM, 3, STORED, STORED), dtype=torch.uint8, generator=generator)
    places = torch.randperm(2 * NUM, generator=generator)
    labels = torch.tensor([0] * 6 + [1] * 3 + [2]).repeat(20)
    splits = [
        Split(places[first : first + num], labels[:num]) for first, num in ((0, NUM), (NUM, 40), (NUM + 40, NUM - 40))
    ]
    return Dataset("image_folder", images, *splits, ("a", "b", "c"), (0.5,) * 3, (0.3,) * 3, "random", "none", "random")


def make_cell(options: dict[str, Any] | None = None, **settings: Any) -> Cell:
    return Cell(
        dataset=DatasetSpec.model_validate({"name": "image_folder", "folder": "x", **(options or {})}),
        model="convnet",
        augment=AugmentSpec(name="zeta_mixup", params={"gamma": 2.8, "num_mixed": 4}),
        seed=0,
        train=TrainSettings.model_validate(
            {"epochs": 2, "precision": "fp32", "batch_size_per_worker": 16, "lr": 0.01, **settings}
        ),
        workers=1,
    )


def run(cell: Cell, dataset: Dataset, folder: Path, mode: Mode = "resident") -> tuple[CellResult, dict[str, Tensor]]:
    feed = make_feed(dataset.images, CPU, mode=mode)
    result = train_cell(cell, dataset, checkpoint_dir=folder, device=CPU, report=lambda _: None, feed=feed)
    state = checkpoint.load(folder / "best.pt")
    assert state is not None
    return result, state["model"]


def test_the_way_to_the_device_changes_no_bit(dataset: Dataset, tmp_path: Path) -> None:
    cell = make_cell(EVERYTHING)
    resident, streamed = (run(cell, dataset, tmp_path / mode, mode) for mode in ("resident", "streaming"))
    assert resident[0].metrics == streamed[0].metrics
    assert all(torch.equal(tensor, streamed[1][name]) for name, tensor in resident[1].items())


def test_interrupted_it_sees_the_same_crops(dataset: Dataset, tmp_path: Path) -> None:
    cell = make_cell(EVERYTHING)
    whole = run(cell, dataset, tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(_: object) -> None:
        raise StopError

    with pytest.raises(StopError):
        train_cell(cell, dataset, checkpoint_dir=tmp_path / "cut", device=CPU, report=stop)
    resumed = run(cell, dataset, tmp_path / "cut")
    assert resumed[0].metrics == whole[0].metrics
    assert all(torch.equal(tensor, whole[1][name]) for name, tensor in resumed[1].items())


@pytest.mark.parametrize("options", [EVERYTHING, {"image_size": 12, "cache_size": STORED}, {"padding_mode": "reflect"}])
def test_the_model_gets_images_of_the_size_asked_for(
    options: dict[str, Any], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: set[tuple[bool, tuple[int, ...]]] = set()
    original = starting_weights.build_model

    def watched(*arguments: Any, **named: Any) -> Any:
        model = original(*arguments, **named)
        model.register_forward_pre_hook(lambda module, inputs: sizes.add((module.training, tuple(inputs[0].shape[1:]))))
        return model

    monkeypatch.setattr(starting_weights, "build_model", watched)
    run(make_cell(options), dataset, tmp_path)
    size = options.get("image_size", STORED)
    assert sizes == {(True, (3, size, size)), (False, (3, size, size))}


def test_a_crop_that_cannot_be_is_a_cell_error(dataset: Dataset, tmp_path: Path) -> None:
    cell = make_cell({"padding_mode": "reflect", "crop_padding": STORED})
    with pytest.raises(CellError, match=f"crop_padding={STORED} is not allowed"):
        run(cell, dataset, tmp_path)


def test_class_weights_go_into_the_training_loss_alone(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[tuple[bool, Tensor | None]] = []
    original = F.cross_entropy

    def watched(logits: Tensor, targets: Tensor, weight: Tensor | None = None, **options: Any) -> Tensor:
        weights.append((logits.requires_grad, weight))
        return original(logits, targets, weight=weight, **options)

    monkeypatch.setattr(F, "cross_entropy", watched)
    plain, _ = run(make_cell(), dataset, tmp_path / "plain")
    assert all(weight is None for _, weight in weights)
    weights.clear()
    weighted, _ = run(make_cell(class_weights="balanced"), dataset, tmp_path / "weighted")
    expected = balanced_class_weights(dataset.train.labels, 3)
    for is_training, weight in weights:
        assert torch.equal(weight, expected) if is_training and weight is not None else weight is None
    assert weighted.metrics != plain.metrics


def test_balanced_sampling_reaches_the_batches(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(learner, "one_hot", lambda labels, num: (seen.append(labels), one_hot(labels, num))[1])
    run(make_cell(sampling="balanced", epochs=20), dataset, tmp_path)
    drawn = torch.cat(seen).bincount(minlength=17)[:3].double()
    assert drawn.min() / drawn.max() > 0.8, "without it, 1 to 6"


def test_recall_of_each_class_is_a_test_metric(dataset: Dataset, tmp_path: Path) -> None:
    result, _ = run(make_cell(), dataset, tmp_path)
    recalls = [result.metrics[f"test/recall/{name}"] for name in "abc"]
    assert sum(recalls) / 3 == pytest.approx(result.metrics["test/balanced_accuracy"])
