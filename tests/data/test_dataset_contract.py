"""What holds for every data set of the registry; a new one joins by a line in conftest's ``place``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.data import DATASETS, Dataset, Split, check_dataset, load_dataset, num_classes_of
from orchestrator.errors import DataError

NAMES = list(DATASETS)
# These bring their validation images with them, or images that belong together, which no exact share can be cut of.
OWN_VALIDATION, GROUPED = {"isic2017", "flowers102", "medmnist_npz"}, {"isic2018", "ham10000"}

pytestmark = pytest.mark.parametrize("name", NAMES)


def rows(dataset: Dataset, *splits: str) -> list[bytes]:
    """The samples of splits, sorted: each image's bytes and its label."""
    found: list[Split] = [getattr(dataset, split) for split in splits]
    return sorted(
        image.numpy().tobytes() + bytes([int(label)])
        for split in found
        for image, label in zip(dataset.images[split.rows], split.labels, strict=True)
    )


def assert_equal(left: Dataset, right: Dataset) -> None:
    assert left.split_hash == right.split_hash
    for split in ("train", "val", "test"):
        assert torch.equal(left.images[getattr(left, split).rows], right.images[getattr(right, split).rows])
        assert torch.equal(getattr(left, split).labels, getattr(right, split).labels)


def test_splits_have_the_promised_form(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    dataset = load_dataset(name, tmp_path, path=place(name))
    size = dataset.stored_size
    assert dataset.images.dtype == torch.uint8
    assert dataset.images.is_contiguous()
    assert dataset.images.shape[1:] == (dataset.num_channels, size, size)
    for split in (dataset.train, dataset.val, dataset.test):
        assert split.rows.dtype == torch.int64
        assert len(split.rows) == len(split.labels) == len(split)
        assert split.labels.dtype == torch.int64
        assert split.labels.unique().tolist() == list(range(dataset.num_classes))
    assert len(dataset.class_names) == len(set(dataset.class_names)) == dataset.num_classes
    assert DATASETS[name].image_shape in (None, tuple(dataset.images.shape[1:]))


def test_validation_is_a_stratified_tenth_and_nothing_is_lost_or_shared(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    folder = place(name)
    dataset = load_dataset(name, tmp_path, path=folder)
    if name not in OWN_VALIDATION | GROUPED:
        num = len(dataset.train) + len(dataset.val)
        assert len(dataset.val) == max(round(num / 10), dataset.num_classes)
        all_labels = torch.cat([dataset.train.labels, dataset.val.labels])
        shares = dataset.val.labels.bincount() - all_labels.bincount() * len(dataset.val) / num
        assert shares.abs().max() < 1

    other = load_dataset(name, tmp_path, path=folder, val_fraction=0.5)
    assert rows(dataset, "train", "val") == rows(other, "train", "val")
    assert rows(dataset, "test") == rows(other, "test")
    everything = rows(dataset, "train", "val", "test")
    assert len(everything) == len(set(everything))


def test_the_same_arguments_give_the_same_splits(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    folder = place(name)
    state = torch.get_rng_state()
    first = load_dataset(name, tmp_path, path=folder)
    torch.manual_seed(1234)
    assert_equal(first, load_dataset(name, tmp_path, path=folder))
    other = load_dataset(name, tmp_path, path=folder, val_fraction=0.5)
    assert (first.split_hash == other.split_hash) == (name in OWN_VALIDATION)
    torch.set_rng_state(state)


def test_statistics_are_those_of_the_training_split(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    dataset = load_dataset(name, tmp_path, path=place(name))
    scaled = dataset.images[dataset.train.rows].numpy().astype(np.float64) / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def test_num_train_takes_a_stratified_part_before_validation(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    folder = place(name)
    whole = load_dataset(name, tmp_path, path=folder)
    num_train = 5 * whole.num_classes
    part = load_dataset(name, tmp_path, path=folder, num_train=num_train, val_fraction=0.2)
    if name in OWN_VALIDATION:
        assert torch.equal(part.images[part.val.rows], whole.images[whole.val.rows])
        assert part.train.labels.bincount().tolist() == [5] * whole.num_classes
    elif name not in GROUPED:
        assert len(part.val) == whole.num_classes
        assert len(part.train) == num_train - whole.num_classes
        assert part.train.labels.bincount().tolist() == [4] * whole.num_classes
    assert set(rows(part, "train", "val")) < set(rows(whole, "train", "val"))
    assert torch.equal(part.images[part.test.rows], whole.images[whole.test.rows])
    assert part.split_hash != whole.split_hash


def test_image_size_resizes_every_split(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    folder = place(name)
    stored = load_dataset(name, tmp_path, path=folder)
    resized = load_dataset(name, tmp_path, path=folder, image_size=10)
    assert resized.images.shape == (*stored.images.shape[:2], 10, 10)
    assert resized.images.dtype == torch.uint8
    assert resized.split_hash == stored.split_hash
    # Resizing keeps the grey level on average: an image mixed up with another would not.
    before, after = (d.images[d.test.rows].double().mean(dim=(1, 2, 3)) for d in (stored, resized))
    assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.8


def test_check_and_num_classes_agree_with_what_is_loaded(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    folder = place(name)
    check_dataset(name, tmp_path, path=folder)
    assert (
        num_classes_of(name, tmp_path, path=folder)
        == load_dataset(name, tmp_path, path=folder).num_classes
        == (DATASETS[name].num_classes or 2)
    )


def test_a_missing_set_says_where_to_put_it(name: str, tmp_path: Path) -> None:
    if name == "digits":
        check_dataset(name, tmp_path)  # embedded: never missing
        return
    folder = {"image_folder": "mine", "medmnist_npz": "mine.npz"}.get(name)
    with pytest.raises(DataError) as raised:
        check_dataset(name, tmp_path, path=folder)
    assert str(tmp_path / (folder or name)) in str(raised.value)
    assert ("--download" in str(raised.value)) == (DATASETS[name].download is not None)
    with pytest.raises(DataError):
        load_dataset(name, tmp_path, path=folder)


def test_a_number_that_cannot_be_met_is_refused(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    folder = place(name)
    for num_train in (1, 10**6):
        with pytest.raises(DataError, match=f"num_train={num_train} is not possible"):
            load_dataset(name, tmp_path, path=folder, num_train=num_train)
    for val_fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="val_fraction"):
            load_dataset(name, tmp_path, path=folder, val_fraction=val_fraction)
    with pytest.raises(ValueError, match="image_size=0"):
        load_dataset(name, tmp_path, path=folder, image_size=0)
