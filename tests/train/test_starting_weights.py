"""Trainings that begin with weights of before: where the file is, what is frozen, and at which rate the head learns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_processes import run_ranks
from trainings import CPU, FEW, Trained, interrupt, make_cell, numbers, run, same_weights

from orchestrator.data import Dataset, load_dataset
from orchestrator.errors import CellError, UserError
from orchestrator.experiment import Cell
from orchestrator.experiment.model_spec import ModelSpec
from orchestrator.experiment.train_settings import TrainSettings
from orchestrator.models import build_model, head_of, weights_of_file
from orchestrator.storage import Storage
from orchestrator.storage.cell_folder import CellFolder
from orchestrator.train.cell import train_cell
from orchestrator.train.optimizers import build_optimizer
from orchestrator.train.repeated_test import predict_again
from orchestrator.train.starting_weights import begins_with, bytes_to_keep, keep_weights, scale_of, weights_file

WORLD_SIZE = 2
PUBLISHED = {"name": "resnet18", "weights": "IMAGENET1K_V1"}
FILE = {"name": "resnet18", "weights": f"sha256:{64 * '0'}"}
HEAD = {"17.weight", "17.bias"}


@dataclass(frozen=True)
class Begun:
    """A file of weights of ten classes for grey images of 8 px, and what a cell says of it."""

    file: Path
    spec: ModelSpec

    def cell(self, *, num_train: int | None = FEW, workers: int = 1, **changes: Any) -> Cell:
        cell = make_cell(epochs=2, num_train=num_train, workers=workers, batch_size_per_worker=16)
        return cell.model_copy(update={"model": self.spec.model_copy(update=changes)})


def begun(folder: Path, *, num_classes: int = 10) -> Begun:
    torch.manual_seed(11)
    folder.mkdir(parents=True, exist_ok=True)
    network = build_model("convnet", num_classes=num_classes, num_channels=1, image_size=8)
    file = folder / "weights.pt"
    torch.save(network.state_dict(), file)
    spec = ModelSpec.model_validate({"name": "convnet", "weights": weights_of_file(file), "weights_file": str(file)})
    return Begun(file, spec)


def train(cell: Cell, dataset: Dataset, folder: Path, start: Begun, **options: Any) -> Trained:
    history = []
    result = train_cell(
        cell, dataset, checkpoint_dir=folder, device=CPU, report=history.append, weights=start.file, **options
    )
    return Trained(result, history, folder)


def test_with_a_frozen_backbone_the_head_alone_changes(few_digits: Dataset, tmp_path: Path) -> None:
    start = begun(tmp_path)
    trained = train(start.cell(freeze="backbone", head_lr=10.0), few_digits, tmp_path / "cell", start)
    before, after = torch.load(start.file), trained.best_weights
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert (
        changed
        == {"17.weight", "17.bias"}
        == head_of(build_model("convnet", num_classes=10, num_channels=1, image_size=8))
    )
    assert trained.history[0].metrics["train/lr"] == pytest.approx(1.0)  # the head's: ten times train.lr


def test_what_is_not_frozen_goes_on_from_the_weights(few_digits: Dataset, tmp_path: Path) -> None:
    start = begun(tmp_path)
    trained = train(start.cell(), few_digits, tmp_path / "cell", start)
    before = torch.load(start.file)
    assert not any(
        torch.equal(value, before[name]) for name, value in trained.best_weights.items() if "num" not in name
    )
    scratch = run(make_cell(epochs=2, num_train=FEW, batch_size_per_worker=16), few_digits, tmp_path / "scratch")
    assert trained.history[0].metrics["train/loss"] != scratch.history[0].metrics["train/loss"]


def test_an_interrupted_one_ends_as_if_it_had_not_been(
    few_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = begun(tmp_path, num_classes=3)
    cell = start.cell(head_lr=3.0)
    whole = train(cell, few_digits, tmp_path / "whole", start)
    monkeypatch.setattr("trainings.train_cell", partial(train_cell, weights=start.file))
    interrupt(cell, few_digits, tmp_path / "cell", after=1)
    resumed = train(cell, few_digits, tmp_path / "cell", start)
    assert numbers(resumed.history) == numbers(whole.history)
    assert same_weights(resumed.best_weights, whole.best_weights)
    start.file.unlink()
    # What is finished needs its own weights alone.
    predictions = predict_again(cell, few_digits, CellFolder(tmp_path / "cell"))
    assert len(predictions.predicted) == len(few_digits.test)


def on_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    start = begun(folder / str(rank))
    dataset = load_dataset("digits", folder, num_train=FEW)
    cell = start.cell(freeze="backbone", workers=WORLD_SIZE)
    trained = train(cell, dataset, folder / "cell", start)
    if rank == 0:
        torch.save((trained.best_weights, torch.load(start.file)), folder / "weights.pt")


@pytest.mark.slow
def test_ranks_train_a_head_together(tmp_path: Path) -> None:
    run_ranks(on_rank, tmp_path, world_size=WORLD_SIZE)
    after, before = torch.load(tmp_path / "weights.pt")
    assert {name for name, value in after.items() if not torch.equal(value, before[name])} == HEAD


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_schedule_is_that_of_both_rates(optimizer: str) -> None:
    network = build_model("convnet", num_classes=10, num_channels=1, image_size=8)
    head = head_of(network)
    settings = TrainSettings.model_validate({"epochs": 4, "lr": 0.1, "optimizer": optimizer})
    stepped, schedule = build_optimizer(network, settings, steps_per_epoch=1, head=head, head_lr=10.0)
    assert [len(group["params"]) for group in stepped.param_groups] == [12, 2]
    for factor in (1.0, 0.853553, 0.5, 0.146447):
        assert schedule.get_last_lr() == pytest.approx([0.1 * factor, 1.0 * factor], rel=1e-4)
        stepped.step()
        schedule.step()


@pytest.mark.parametrize(
    ("said", "channels", "mean", "whose"),
    [
        ({"name": "convnet"}, 3, (0.1, 0.2, 0.3), "the data set"),
        (PUBLISHED, 3, (0.485, 0.456, 0.406), "the weights"),
        (PUBLISHED, 1, (0.449,), "the weights, over its channels"),
        (
            {"name": "resnet18", "weights": "IMAGENET1K_V1", "normalization": "dataset"},
            3,
            (0.1, 0.2, 0.3),
            "the data set",
        ),
        ({"name": "resnet18", "weights": f"sha256:{64 * '0'}"}, 3, (0.1, 0.2, 0.3), "the data set"),
        (
            {"name": "resnet18", "weights": f"sha256:{64 * '0'}", "normalization": "imagenet"},
            3,
            (0.485, 0.456, 0.406),
            "ImageNet",
        ),
    ],
)
def test_images_are_normalised_as_those_of_the_weights_were(
    said: dict[str, str], channels: int, mean: tuple[float, ...], whose: str
) -> None:
    given = (0.1, 0.2, 0.3)[:channels]
    scale = scale_of(ModelSpec.model_validate(said), given, given)
    assert scale.mean == pytest.approx(mean)
    assert scale.whose == whose


def test_a_file_is_kept_in_storage_once_and_found_there_afterwards(tmp_path: Path) -> None:
    start, storage = begun(tmp_path), Storage(tmp_path / "runs")
    elsewhere = start.spec.model_copy(update={"weights_file": str(tmp_path / "other.pt")})
    scratch = ModelSpec(name="convnet")
    (tmp_path / "other.pt").write_bytes(start.file.read_bytes())
    assert weights_file(start.spec, storage) == start.file
    assert weights_file(scratch, storage) is None
    faster = start.spec.model_copy(update={"head_lr": 10.0})
    assert bytes_to_keep([start.spec, elsewhere, faster, scratch], storage) == start.file.stat().st_size
    keep_weights([start.spec, elsewhere, scratch], storage)
    start.file.unlink()
    (kept,) = (tmp_path / "runs" / "weights").iterdir()
    assert weights_file(start.spec, storage) == kept
    assert bytes_to_keep([start.spec], storage) == 0
    kept.unlink()
    with pytest.raises(UserError, match=r"weights convnet\(weights=weights.pt@\w{8}\) are neither at .*weights.pt nor"):
        weights_file(start.spec, storage)


def test_published_weights_that_are_not_there_say_where_and_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = ModelSpec.model_validate(PUBLISHED)
    with pytest.raises(UserError) as refused:
        weights_file(spec, Storage(tmp_path / "runs"))
    said = str(refused.value)
    assert f"expected in {tmp_path}/hub/checkpoints/resnet18-f37072fd.pth" in said
    assert "zetasweep run FILE --download fetches them" in said
    assert "curl -O https://download.pytorch.org/models/resnet18-f37072fd.pth" in said
    assert "weights: PATH" in said


def test_weights_of_another_network_fail_the_cell_on_all_ranks(few_digits: Dataset, tmp_path: Path) -> None:
    start = begun(tmp_path)
    torch.save({"a": torch.ones(1)}, start.file)
    cell = start.cell(weights=weights_of_file(start.file))
    with pytest.raises(CellError, match="these are not the weights of convnet"):
        begins_with(cell, few_digits, start.file)
    with pytest.raises(CellError, match="these are not the weights of convnet"):
        train(cell, few_digits, tmp_path / "cell", start)
    assert not (tmp_path / "cell").exists()


def test_what_a_cell_begins_with_is_said_in_a_line(few_digits: Dataset, tmp_path: Path) -> None:
    start = begun(tmp_path, num_classes=3)
    assert begins_with(start.cell(freeze="backbone"), few_digits, start.file) == (
        "24 of 26 tensors taken; its head 17 is new (3 classes there, 10 here); images normalised by mean and "
        "deviation of the data set; its head alone is trained"
    )
    assert begins_with(make_cell(), few_digits, None) == ""
