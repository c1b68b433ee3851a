from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from small_sets import random_images

from orchestrator.data import DATASETS, check_dataset, download_dataset, load_dataset
from orchestrator.errors import DataError

CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}


@pytest.mark.parametrize(
    ("name", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32)), ("cifar100", (3, 32, 32))]
)
def test_pixels_and_labels_are_those_in_the_files(
    name: str, shape: tuple[int, int, int], tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    place(name)
    dataset = load_dataset(name, tmp_path)
    images, labels = random_images("test", dataset.num_classes, int(np.prod(shape)))
    if name == "mnist":
        images, labels = random_images("test", 10, 28, 28)
    np.testing.assert_array_equal(dataset.test.images.numpy(), images.reshape(-1, *shape))
    np.testing.assert_array_equal(dataset.test.labels.numpy(), labels)


@pytest.mark.parametrize("name", CLASSES)
def test_a_missing_file_is_named(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    check_dataset(name, tmp_path)
    victim = tmp_path / name / DATASETS[name].files[1]
    victim.unlink()
    with pytest.raises(DataError, match=str(victim)):
        check_dataset(name, tmp_path)


@pytest.mark.parametrize("name", CLASSES)
def test_a_truncated_file_is_a_data_error(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    victim = tmp_path / name / DATASETS[name].files[0]
    victim.write_bytes(victim.read_bytes()[:-10])
    with pytest.raises(DataError, match=str(tmp_path / name)):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("name", CLASSES)
def test_download_is_torchvisions_and_only_on_demand(
    name: str, tmp_path: Path, place: Callable[[str], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, bool, bool]] = []

    def remember(*, root: Path, train: bool, download: bool) -> None:
        asked.append((root, train, download))

    monkeypatch.setattr(torchvision.datasets, CLASSES[name], remember)
    download_dataset(name, tmp_path)
    assert asked == [(tmp_path / name, True, True), (tmp_path / name, False, True)]
    monkeypatch.undo()

    place(name)
    cls: Any = getattr(torchvision.datasets, CLASSES[name])
    monkeypatch.setattr(cls, "download", lambda _: pytest.fail("downloaded without being asked"))
    load_dataset(name, tmp_path)


def test_a_failed_download_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    with pytest.raises(DataError, match="no route to host"):
        download_dataset("cifar10", tmp_path)


def test_what_cannot_be_downloaded_is_left_to_the_check(tmp_path: Path) -> None:
    # A sweep may name both kinds; `check_dataset` says what is missing after the download.
    download_dataset("image_folder", tmp_path)
    download_dataset("digits", tmp_path)  # embedded
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="imagenet"):
        download_dataset("imagenet", tmp_path)
