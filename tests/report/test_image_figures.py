"""Figures of images: the gallery, what mixing makes of them, and in how many directions they extend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from predicted import material, tiny_dataset
from sweep_samples import ERM, MIXUP, ZETA, ZETA_BATCH
from torch import nn

from orchestrator.data import Dataset
from orchestrator.errors import DataError
from orchestrator.experiment import AugmentSpec, Cell, DatasetSpec
from orchestrator.experiment.schedule_spec import Linear
from orchestrator.report import intrinsic_dimension as dimension_module
from orchestrator.report import mixed as mixed_module
from orchestrator.report.figure import Figure, Material, Unavailable
from orchestrator.report.gallery import gallery
from orchestrator.report.intrinsic_dimension import intrinsic_dimensions
from orchestrator.report.mixing import mixing
from orchestrator.report.sources import AT_MOST
from orchestrator.report.style import rendered, styled
from orchestrator.storage import CellFolder, Storage
from orchestrator.storage import checkpoints as checkpoint
from orchestrator.train import TrainedNetwork
from orchestrator.train.learner import Learner
from orchestrator.train.ranks import Ranks

KINDS = [gallery, mixing, intrinsic_dimensions]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed_module, "NUM_DRAWS", 5)
    monkeypatch.setattr(dimension_module, "NUM_CENTRES", 20)


def only(figures: list[Figure]) -> Figure:
    (figure,) = figures
    return figure


def svg_of(figure: Figure) -> str:
    assert figure.draw is not None
    with styled():
        return rendered(figure.draw(), "svg").decode()


def keep_weights(cell: Cell, dataset: Dataset, folder: CellFolder) -> Learner:
    """Write weights of a network that was not trained as a finished cell's."""
    learner = Learner(cell, dataset, device=CPU, ranks=Ranks(CPU), backend="torch", steps_per_epoch=1)
    folder.path.mkdir(parents=True)
    checkpoint.save(folder.best, {"model": learner.module.state_dict(), "epoch": 1})
    return learner


def test_a_gallery_has_the_same_images_with_the_labels_of_each_augmentation() -> None:
    figure = only(gallery(material(ERM, MIXUP, ZETA, dataset=tiny_dataset())))
    shown = figure.data["augmentations"]
    assert list(shown) == ["erm", MIXUP.label, ZETA.label]
    assert [len(each) for each in shown.values()] == [6, 6, 6]
    assert all(shares == [{"class": shares[0]["class"], "share": 1.0}] for shares in shown["erm"])
    # Each image leads its own output.
    assert [shares[0]["class"] for shares in shown[ZETA.label]] == [shares[0]["class"] for shares in shown["erm"]]
    drawn = svg_of(figure)
    assert drawn.count("<image") == 18
    assert "<b>" not in drawn


def test_what_changes_is_shown_as_it_is_in_the_first_epoch() -> None:
    first, later = (
        AugmentSpec(name="zeta_mixup", params={"gamma": gamma, "num_mixed": 4})
        for gamma in (2.8, Linear(linear=(2.8, 9.0)))
    )
    figure = only(gallery(material(first, later, dataset=tiny_dataset())))
    assert figure.data["augmentations"][later.label] == figure.data["augmentations"][first.label]
    assert "What changes from epoch to epoch is shown as it is in the first." in figure.sentence
    assert "What changes" not in only(gallery(material(first, dataset=tiny_dataset()))).sentence


def test_of_many_augmentations_some_of_each_kind_are_shown() -> None:
    many = [AugmentSpec(name="zeta_mixup", params={"gamma": 1 + each / 10, "num_mixed": 4}) for each in range(30)]
    figure = only(gallery(material(ERM, MIXUP, *many, seeds=1, dataset=tiny_dataset())))
    shown = list(figure.data["augmentations"])
    assert len(shown) == AT_MOST
    assert {"erm", MIXUP.label, many[0].label, many[-1].label} <= set(shown)
    assert "Of 32 augmentations 12 are shown." in figure.sentence


def test_mixing_without_networks_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    figure = only(mixing(material(ERM, ZETA, storage=tmp_path, dataset=tiny_dataset())))
    assert f"no cell of erm has its best weights in {tmp_path}" in figure.sentence
    assert figure.data["augmentations"]["erm"].keys() == {"ghosting", "second_weight", "effective_number", "entropy"}
    assert figure.data["augmentations"][ZETA.label]["ghosting"] > 0
    assert figure.html is not None
    assert "Fréchet" not in figure.html
    assert "<svg" in svg_of(figure)


def test_mixing_is_seen_by_networks_of_finished_erm_cells(tmp_path: Path) -> None:
    dataset = tiny_dataset()
    made = material(ERM, MIXUP, ZETA, seeds=2, storage=tmp_path, dataset=dataset)
    for cell in made.cells:
        if cell.augment == ERM:
            keep_weights(cell, dataset, Storage(tmp_path).cell(cell.key))
    figure = only(mixing(made))
    assert figure.data["networks"] == 2
    erm, zeta = (figure.data["augmentations"][row] for row in ("erm", ZETA.label))
    assert erm["label_loss"] == pytest.approx(erm["label_error"])
    assert zeta["label_error"] < zeta["label_loss"]
    assert all(0 <= each["confidence"] <= 1 and each["frechet"] >= 0 for each in (erm, zeta))
    assert figure.html is not None
    assert "Fréchet" in figure.html


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    made = material(ERM, ZETA, seeds=1, storage=tmp_path, dataset=tiny_dataset())
    folder = Storage(tmp_path).cell(next(cell.key for cell in made.cells if cell.augment == ERM))
    folder.path.mkdir(parents=True)
    folder.best.write_bytes(b"none")
    assert f"A network of erm is left out: {folder.best}" in only(mixing(made)).sentence


def test_a_network_says_of_images_what_its_test_says_and_what_its_last_layer_gets(tmp_path: Path) -> None:
    dataset = tiny_dataset()
    cell = material(ERM, seeds=1).cells[0]
    folder = CellFolder(tmp_path / cell.key)
    learner = keep_weights(cell, dataset, folder)
    found = TrainedNetwork(cell, dataset, folder).outputs(dataset.images.float() / 255)
    learner.module.eval()
    with torch.inference_mode():
        expected = learner.predict(dataset.images)
        last = learner.module[-1]  # type: ignore[index]
        assert torch.allclose(last(found.features), found.logits, atol=1e-5)
    assert torch.allclose(found.logits, expected, atol=1e-4)


def test_the_features_of_a_network_that_names_its_head_are_what_that_gets(tmp_path: Path) -> None:
    dataset = tiny_dataset()
    cell = material(ERM, seeds=1).cells[0]
    folder = CellFolder(tmp_path / cell.key)
    keep_weights(cell, dataset, folder)
    trained = TrainedNetwork(cell, dataset, folder)
    network = trained._learner.evaluated
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    network.get_classifier = lambda: first  # as timm's have
    found = trained.outputs(dataset.images.float() / 255)
    assert found.features.shape == (len(dataset.images), first.in_channels)


def test_mixing_that_repeats_few_images_lowers_the_dimension_and_what_blends_any_two_raises_it() -> None:
    made = material(ERM, MIXUP, ZETA, ZETA_BATCH, dataset=tiny_dataset(num=600))
    figure = only(intrinsic_dimensions(made))
    assert (figure.data["images"], figure.data["neighbours"], figure.data["draws"]) == (600, 128, 4)
    for of_rows in figure.data["estimators"].values():
        assert list(of_rows) == ["original", MIXUP.label, ZETA.label, ZETA_BATCH.label]
        assert of_rows["original"]["mean"] > 5
    assert "128 neighbours among 600 images" in figure.sentence
    assert only(intrinsic_dimensions(made)).data == figure.data
    assert "<svg" in svg_of(figure)


def test_the_dimension_needs_neighbours_and_something_that_mixes() -> None:
    with pytest.raises(Unavailable, match="200 training images: 128 neighbours"):
        intrinsic_dimensions(material(ERM, MIXUP, dataset=tiny_dataset(num=200)))
    with pytest.raises(Unavailable, match="No augmentation of the experiment mixes"):
        intrinsic_dimensions(material(ERM, dataset=tiny_dataset(num=600)))


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_without_images_it_is_said_what_to_do(make: Callable[[Material], list[Figure]]) -> None:
    made = material(ERM, MIXUP)
    with pytest.raises(Unavailable, match="data_dir"):
        make(made)

    def refuse(_: DatasetSpec) -> Dataset:
        raise DataError("digits: /nowhere is missing", remedy="Put it there.")

    with pytest.raises(Unavailable, match=r"/nowhere is missing: Put it there\."):
        make(replace(made, open_dataset=refuse))


def test_a_gallery_of_too_few_test_images_says_so() -> None:
    with pytest.raises(Unavailable, match="mixes 10 test images"):
        gallery(material(ZETA_BATCH, dataset=tiny_dataset(num=10)))
