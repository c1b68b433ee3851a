"""`on_unreadable: skip`: what cannot be read is left out, counted, and part of the split hash."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import write_image_folder

from orchestrator.data import Cache, Images, decode_dataset, entry, load_dataset, split_dataset
from orchestrator.data.decode import decode_into
from orchestrator.data.image_files import UnreadableError
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.errors import DataError

VICTIMS = ("train/bee/003.png", "test/ant/000.png", "test/ant/009.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write_image_folder(tmp_path / "mine")
    for name in VICTIMS:
        (root / name).write_bytes(b"not an image")
    return root


def test_the_others_keep_their_pixels_and_the_split_hash_tells_what_is_missing(root: Path, tmp_path: Path) -> None:
    whole = load_dataset("image_folder", write_image_folder(tmp_path / "whole").parent, path="whole", image_size=8)
    dataset = load_dataset("image_folder", root.parent, path="mine", image_size=8, skip_unreadable=True)
    assert dataset.unreadable == ("train/bee/003.png", "test/ant/000.png", "test/ant/009.png")
    assert len(dataset.images) == 37
    assert len(dataset.train) + len(dataset.val) == 19
    assert dataset.test.labels.tolist() == [0] * 8 + [1] * 10
    kept = [row for row in range(20) if row not in (0, 9)]
    assert torch.equal(dataset.images[dataset.test.rows], whole.images[whole.test.rows][kept])
    assert dataset.split_hash != whole.split_hash
    without = write_image_folder(tmp_path / "without")
    for name in VICTIMS:
        (without / name).unlink()
    smaller = load_dataset("image_folder", without.parent, path="without", image_size=8)
    assert torch.equal(smaller.images, dataset.images)
    assert (smaller.mean, smaller.std) == (dataset.mean, dataset.std)
    assert smaller.split_hash != dataset.split_hash


def test_without_being_asked_nothing_is_left_out(root: Path) -> None:
    load_dataset("image_folder", root.parent, path="mine", image_size=8, skip_unreadable=True)
    with pytest.raises(DataError, match="3 images cannot be used"):
        load_dataset("image_folder", root.parent, path="mine", image_size=8)


def test_what_was_left_out_is_known_without_decoding_again(root: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    images = Images("image_folder", root, 8, skip_unreadable=True)
    assert cache.found(images) is None
    options = {"path": "mine", "image_size": 8, "cache": cache}
    decoded = decode_dataset("image_folder", root.parent, skip_unreadable=True, **options)
    found = cache.found(images)
    assert found is not None
    assert found.unreadable == decoded.unreadable
    assert "cannot be read as an image" in found.unreadable["train/bee/003.png"]
    assert split_dataset("image_folder", found).split_hash == split_dataset("image_folder", decoded).split_hash
    whole = {name: (root / name).parent / "001.png" for name in VICTIMS}
    for name, other in whole.items():
        (root / name).write_bytes(other.read_bytes())
    assert cache.found(images) is None, "a file was replaced"


def test_a_class_that_would_lose_all_its_images_is_named(root: Path) -> None:
    for path in (root / "test" / "ant").iterdir():
        path.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"class 'ant' of test has no image that can be read: .*test/ant/000\.png"):
        load_dataset("image_folder", root.parent, path="mine", image_size=8, skip_unreadable=True)


@pytest.mark.parametrize("damaged", ["train/ant/000.png", "test/bee/004.png"])
def test_the_size_of_all_is_that_of_a_file_that_can_be_read(root: Path, damaged: str) -> None:
    (root / damaged).write_bytes(b"not an image")
    dataset = load_dataset("image_folder", root.parent, path="mine", skip_unreadable=True)
    assert set(dataset.unreadable) == {*VICTIMS, damaged}
    assert dataset.stored_size == 12


def test_a_set_without_a_readable_file_names_the_first(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UnreadableError, match=r"train/ant/000\.png cannot be read"):
        load_dataset("image_folder", root.parent, path="mine", skip_unreadable=True)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("image", "image_size", "words"),
    [
        (Image.new("RGB", (13, 12)), None, "13x12 pixels, .*\n.*Set dataset.image_size"),
        (Image.new("I;16", (12, 12)), None, "16 bits per channel.*\n.*Convert it"),
        (Image.new("I;16", (12, 12)), 8, "16 bits per channel.*\n.*Convert it"),
    ],
)
def test_what_can_be_read_and_not_used_is_an_error_all_the_same(
    root: Path, first: bool, image: Image.Image, image_size: int | None, words: str
) -> None:
    image.save(root / "train" / "ant" / ("000.png" if first else "004.png"))
    with pytest.raises(DataError, match=words):
        load_dataset("image_folder", root.parent, path="mine", image_size=image_size, skip_unreadable=True)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_find_the_same(root: Path, tmp_path: Path, processes: int) -> None:
    from orchestrator.data.entry import _allocate

    source = open_image_folder(root)
    _allocate(tmp_path / "images.npy", (40, 3, 8, 8))
    decoding = decode_into(tmp_path / "images.npy", source, 8, skip_unreadable=True, processes=processes)
    assert sorted(decoding.unreadable) == [13, 20, 29]
    assert (decoding.pixel_sums[[13, 20, 29]] == 0).all()


def test_a_disk_without_room_for_what_is_kept_ends_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of a file whose blocks are not there yet would: it is written to without a sign of trouble."""
    path = tmp_path / "images.npy"
    np.save(path, np.arange(12, dtype=np.uint8).reshape(4, 3))
    entry._keep_rows(path, np.array([0, 2, 3]))
    assert np.load(path).tolist() == [[0, 1, 2], [6, 7, 8], [9, 10, 11]]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(entry.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        entry._keep_rows(path, np.array([0]))
    assert len(np.load(path)) == 3
