"""What holds for every data set: it is found, decoded, split and resized the same always and everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orchestrator.data import (
    DATASETS,
    Cache,
    Dataset,
    DatasetInfo,
    Source,
    Split,
    check_dataset,
    load_dataset,
    num_classes_of,
    open_dataset,
)
from orchestrator.errors import DataError
from zetasweep._clauses import refused

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DatasetCase:
    """A data set that is tried.

    Attributes:
        name: In the registry.
        data_dir: A small one lies below it: six images or more of each class for training, no two alike.
        scratch: A folder for decoded images; nothing is looked for there.
        path: Its folder or file below `data_dir`, where `DatasetInfo.path_option` asks for one.
        layout: Further options of the experiment file that say how it lies there.
    """

    name: str
    data_dir: Path
    scratch: Path
    path: str | None = None
    layout: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def info(self) -> DatasetInfo:
        """What the registry says of it."""
        return DATASETS[self.name]

    @property
    def where(self) -> dict[str, Any]:
        """What says where it lies."""
        return {"path": self.path, "layout": self.layout}

    def opened(self) -> Source:
        """Return it before it is decoded."""
        return open_dataset(self.name, self.data_dir, **self.where)

    def loaded(self, **options: Any) -> Dataset:
        """Return it decoded and split."""
        return load_dataset(self.name, self.data_dir, **self.where, **options, cache=Cache(self.scratch))


@contextmanager
def registered(name: str, info: DatasetInfo) -> Iterator[None]:
    """Have a data set be in the registry under this name for as long as it is tried."""
    before = dict(DATASETS)
    DATASETS[name] = info
    try:
        yield
    finally:
        DATASETS.clear()
        DATASETS.update(before)


def rows(dataset: Dataset, *splits: str) -> list[bytes]:
    """Return the samples of splits, sorted: each image's bytes and its label."""
    found: list[Split] = [getattr(dataset, split) for split in splits]
    return sorted(
        image.numpy().tobytes() + int(label).to_bytes(4, "little")
        for split in found
        for image, label in zip(dataset.images[split.rows], split.labels, strict=True)
    )


def splits_have_the_promised_form(case: DatasetCase) -> None:
    """Square images of uint8, and in each split samples of every class."""
    dataset = case.loaded()
    size = dataset.stored_size
    assert dataset.images.dtype == torch.uint8
    assert dataset.images.is_contiguous()
    assert dataset.images.shape[1:] == (dataset.num_channels, size, size)
    assert dataset.num_channels in (1, 3)
    for name in SPLITS:
        split = getattr(dataset, name)
        assert split.rows.dtype == split.labels.dtype == torch.int64
        assert len(split.rows) == len(split.labels) == len(split)
        assert split.labels.unique().tolist() == list(range(dataset.num_classes)), f"{name} lacks a class"
    assert len(dataset.class_names) == len(set(dataset.class_names)) == dataset.num_classes
    assert case.info.image_shape in (None, tuple(dataset.images.shape[1:]))


def every_sample_has_an_id_of_its_own(case: DatasetCase) -> None:
    """Splits are made from the ids, so they must be there, differ, and stay the same."""
    for first, again in zip(case.opened().parts.values(), case.opened().parts.values(), strict=True):
        assert list(first.ids) == list(again.ids), "they change from one time to the next"
        assert len(set(first.ids)) == len(first.ids) == len(first.labels)


def nothing_is_lost_or_shared(case: DatasetCase) -> None:
    """Every image is in one split, whatever share is validation."""
    dataset, other = case.loaded(), case.loaded(val_fraction=0.5)
    assert rows(dataset, "train", "val") == rows(other, "train", "val")
    assert rows(dataset, "test") == rows(other, "test")
    everything = rows(dataset, *SPLITS)
    assert len(everything) == len(set(everything)), "an image is there twice"


def validation_is_a_stratified_tenth(case: DatasetCase) -> None:
    """Unless the set ships one, or has images that belong together, of which no exact share can be cut."""
    source = case.opened()
    if source.val is not None or source.train.groups is not None:
        return
    dataset = case.loaded()
    num = len(dataset.train) + len(dataset.val)
    assert len(dataset.val) == max(round(num / 10), dataset.num_classes)
    all_labels = torch.cat([dataset.train.labels, dataset.val.labels])
    shares = dataset.val.labels.bincount() - all_labels.bincount() * len(dataset.val) / num
    assert shares.abs().max() < 1


def the_same_arguments_give_the_same_splits(case: DatasetCase) -> None:
    """Whatever torch's generator is at."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = case.loaded()
        torch.manual_seed(1234)
        again = case.loaded()
    assert first.split_hash == again.split_hash
    for name in SPLITS:
        mine, other = getattr(first, name), getattr(again, name)
        assert torch.equal(first.images[mine.rows], again.images[other.rows])
        assert torch.equal(mine.labels, other.labels)
    has_own_validation = case.opened().val is not None
    assert (first.split_hash == case.loaded(val_fraction=0.5).split_hash) == has_own_validation


def statistics_are_those_of_the_training_split(case: DatasetCase) -> None:
    """Mean and standard deviation of each channel, in units of [0, 1]."""
    dataset = case.loaded()
    scaled = dataset.images[dataset.train.rows].numpy().astype(np.float64) / 255
    np.testing.assert_allclose(dataset.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def num_train_takes_a_stratified_part_before_validation(case: DatasetCase) -> None:
    """And neither validation of its own nor the test changes."""
    source, whole = case.opened(), case.loaded()
    num_train = 5 * whole.num_classes
    part = case.loaded(num_train=num_train, val_fraction=0.2)
    if source.val is not None:
        assert torch.equal(part.images[part.val.rows], whole.images[whole.val.rows])
        assert part.train.labels.bincount().tolist() == [5] * whole.num_classes
    elif source.train.groups is None:
        assert len(part.val) == whole.num_classes
        assert len(part.train) == num_train - whole.num_classes
        assert part.train.labels.bincount().tolist() == [4] * whole.num_classes
    assert set(rows(part, "train", "val")) < set(rows(whole, "train", "val"))
    assert torch.equal(part.images[part.test.rows], whole.images[whole.test.rows])
    assert part.split_hash != whole.split_hash


def image_size_resizes_every_split(case: DatasetCase) -> None:
    """And each image stays where it was."""
    stored, resized = case.loaded(), case.loaded(image_size=10)
    assert resized.images.shape == (*stored.images.shape[:2], 10, 10)
    assert resized.images.dtype == torch.uint8
    assert resized.split_hash == stored.split_hash
    # Resizing keeps the grey level on average: an image mixed up with another would not.
    before, after = (d.images[d.test.rows].double().mean(dim=(1, 2, 3)) for d in (stored, resized))
    assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.8


def check_and_num_classes_agree_with_what_is_loaded(case: DatasetCase) -> None:
    """So that what is wrong is said before anything is started."""
    check_dataset(case.name, case.data_dir, **case.where)
    found = num_classes_of(case.name, case.data_dir, **case.where)
    assert found == case.loaded().num_classes
    assert case.info.num_classes in (None, found)


def a_missing_set_says_where_to_put_it(case: DatasetCase) -> None:
    """As DataError, which names the path; one that is embedded is never missing."""
    empty = case.scratch / "nothing_lies_here"
    if case.info.embedded:
        check_dataset(case.name, empty, **case.where)
        return
    with refused(DataError, saying=str(empty / (case.path or case.name))):
        check_dataset(case.name, empty, **case.where)
    with refused(DataError):
        load_dataset(case.name, empty, **case.where)


def a_number_that_cannot_be_met_is_refused(case: DatasetCase) -> None:
    """Of training images, for the share of validation, and of pixels."""
    for num_train in (1, 10**6):
        with refused(DataError, saying=f"num_train={num_train} is not possible"):
            case.loaded(num_train=num_train)
    for val_fraction in (0.0, 1.0, float("nan")):
        with refused(ValueError, saying="val_fraction"):
            case.loaded(val_fraction=val_fraction)
    with refused(ValueError, saying="image_size=0"):
        case.loaded(image_size=0)


DATASET_CLAUSES: tuple[Callable[[DatasetCase], None], ...] = (
    splits_have_the_promised_form,
    every_sample_has_an_id_of_its_own,
    nothing_is_lost_or_shared,
    validation_is_a_stratified_tenth,
    the_same_arguments_give_the_same_splits,
    statistics_are_those_of_the_training_split,
    num_train_takes_a_stratified_part_before_validation,
    image_size_resizes_every_split,
    check_and_num_classes_agree_with_what_is_loaded,
    a_missing_set_says_where_to_put_it,
    a_number_that_cannot_be_met_is_refused,
)
