from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from scipy.io import loadmat
from small_sets import Pixels, random_images

from orchestrator.data import DATASETS, Source, check_dataset, download_dataset
from orchestrator.data.dataset import Samples
from orchestrator.errors import DataError

SHAPES = {
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "cifar100": (3, 32, 32),
    "stl10": (3, 96, 96),
    "svhn": (3, 32, 32),
}
BOTH_HALVES = [{"train": True}, {"train": False}]
# What torchvision is asked for by a download.
DOWNLOADS: dict[str, tuple[str, list[dict[str, object]]]] = {
    "mnist": ("MNIST", BOTH_HALVES),
    "fashion_mnist": ("FashionMNIST", BOTH_HALVES),
    "cifar10": ("CIFAR10", BOTH_HALVES),
    "cifar100": ("CIFAR100", BOTH_HALVES),
    "stl10": ("STL10", [{}]),
    "svhn": ("SVHN", [{"split": "train"}, {"split": "test"}]),
    "flowers102": ("Flowers102", [{}]),
    "oxford_pets": ("OxfordIIITPet", [{}]),
    "imagenette": ("Imagenette", [{"size": "320px"}]),
    "eurosat": ("EuroSAT", [{}]),
}


def opened(name: str, tmp_path: Path) -> Source:
    return DATASETS[name].open(tmp_path / name)


def pixels(samples: Samples) -> Pixels:
    return samples.read(np.arange(len(samples.labels)), None).numpy()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_pixels_and_labels_are_those_in_the_files(
    name: str, split: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    place(name)
    source = opened(name, tmp_path)
    shape = (3072,) if name.startswith("cifar") else SHAPES[name]
    images, labels = random_images(split, len(source.class_names), *shape[-2:] if shape[0] == 1 else shape)
    samples = source.parts[split]
    np.testing.assert_array_equal(pixels(samples), images.reshape(-1, *SHAPES[name]))
    np.testing.assert_array_equal(samples.labels, labels)


def test_stl10_is_stored_column_by_column(tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place("stl10")
    stored = (tmp_path / "stl10" / "stl10_binary" / "test_X.bin").read_bytes()
    images = pixels(opened("stl10", tmp_path).test)
    for image, channel, row, column in ((0, 0, 0, 1), (1, 2, 3, 5), (39, 1, 95, 0), (17, 0, 40, 94)):
        assert images[image, channel, row, column] == stored[((image * 3 + channel) * 96 + column) * 96 + row]


def test_svhn_is_stored_image_last_and_its_ten_is_a_zero(tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place("svhn")
    stored = loadmat(tmp_path / "svhn" / "test_32x32.mat")
    test = opened("svhn", tmp_path).test
    images = pixels(test)
    for image, channel, row, column in ((0, 0, 0, 1), (1, 2, 3, 5), (39, 1, 31, 0), (17, 0, 20, 30)):
        assert images[image, channel, row, column] == stored["X"][row, column, channel, image]
    assert stored["y"].min() == 1
    np.testing.assert_array_equal(test.labels, stored["y"][:, 0] % 10)


def test_the_images_of_stl10_without_labels_are_not_looked_at(
    tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    place("stl10")
    (tmp_path / "stl10" / "stl10_binary" / "unlabeled_X.bin").write_bytes(b"not the 2.8 GB that torchvision expects")
    check_dataset("stl10", tmp_path)
    assert len(opened("stl10", tmp_path).train.labels) == 200


@pytest.mark.parametrize("name", SHAPES)
def test_a_missing_file_is_named(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    check_dataset(name, tmp_path)
    victim = tmp_path / name / DATASETS[name].files[1]
    victim.unlink()
    with pytest.raises(DataError, match=str(victim)):
        check_dataset(name, tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_a_truncated_file_is_a_data_error(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    victim = tmp_path / name / DATASETS[name].files[0]
    victim.write_bytes(victim.read_bytes()[:-10])
    with pytest.raises(DataError, match=str(tmp_path / name)):
        opened(name, tmp_path)


@pytest.mark.parametrize("name", DOWNLOADS)
def test_download_is_torchvisions_and_only_on_demand(
    name: str, tmp_path: Path, place: Callable[[str], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class_name, wanted = DOWNLOADS[name]
    asked: list[dict[str, object]] = []

    class Remember:
        train_list: ClassVar[list[list[str]]] = []

        def __init__(self, **arguments: object) -> None:
            asked.append(arguments)

    with monkeypatch.context() as patched:
        patched.setattr(torchvision.datasets, class_name, Remember)
        download_dataset(name, tmp_path)
    assert asked == [{"root": tmp_path / name, "download": True, **arguments} for arguments in wanted]

    place(name)
    cls: Any = getattr(torchvision.datasets, class_name)
    method = "_download" if hasattr(cls, "_download") else "download"
    monkeypatch.setattr(cls, method, lambda _: pytest.fail("downloaded without being asked"))
    check_dataset(name, tmp_path)
    opened(name, tmp_path)


def test_a_download_keeps_the_labelled_images_of_stl10(
    tmp_path: Path, place: Callable[[str], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    place("stl10")
    fetched = "torchvision.datasets.stl10.download_and_extract_archive"
    monkeypatch.setattr(fetched, lambda *_, **__: pytest.fail("fetched 2.6 GB that are there"))
    download_dataset("stl10", tmp_path)


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
