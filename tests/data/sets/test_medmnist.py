from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from small_sets import MISSING, SPELLINGS, write_medmnist

from orchestrator.data import describe_groups, load_dataset, open_dataset, split_samples, torn_groups
from orchestrator.data.decode import decode_into
from orchestrator.data.sets.medmnist import open_medmnist_npz
from orchestrator.errors import DataError


@pytest.mark.parametrize(("shape", "stored"), [((12, 12), (1, 12, 12)), ((28, 28, 3), (3, 28, 28))])
@pytest.mark.parametrize("one_column", [True, False])
def test_pixels_and_labels_are_those_in_the_file(
    shape: tuple[int, ...], stored: tuple[int, int, int], one_column: bool, tmp_path: Path
) -> None:
    path = write_medmnist(tmp_path / "mine.npz", shape=shape)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if not one_column:
        flat = {name: array[:, 0] for name, array in arrays.items() if name.endswith("labels")}
        write_medmnist(path, shape=shape, **flat)
    source = open_medmnist_npz(path)
    assert source.class_names == ("0", "1", "2")
    assert list(source.parts) == ["train", "val", "test"]
    for split, samples in source.parts.items():
        labels = arrays[f"{split}_labels"][:, 0]
        assert samples.labels.dtype == np.int64
        np.testing.assert_array_equal(samples.labels, labels)
        assert samples.shape(None) == stored
        images = samples.read(np.array([3, 0]), None)
        assert images.dtype == torch.uint8
        assert images.is_contiguous()
        for image, index in zip(images, (3, 0), strict=True):
            expected = arrays[f"{split}_images"][index].reshape(*stored[1:], stored[0])
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)
    ids = [name for samples in source.parts.values() for name in samples.ids]
    assert len(ids) == len(set(ids)) == 3 * (10 + 2 + 4)


def test_images_are_resized(tmp_path: Path) -> None:
    train = open_medmnist_npz(write_medmnist(tmp_path / "mine.npz")).train
    assert train.shape(8) == (3, 8, 8)
    assert train.read(np.arange(5), 8).shape == (5, 3, 8, 8)


def test_an_array_is_read_once_and_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_medmnist(tmp_path / "mine.npz")
    asked: list[str] = []
    original = zipfile.ZipFile.open

    def remember(self: zipfile.ZipFile, name: str) -> object:
        asked.append(name)
        return original(self, name)

    source = open_medmnist_npz(path)
    monkeypatch.setattr(zipfile.ZipFile, "open", remember)
    for start in range(0, 30, 10):
        source.train.read(np.arange(start, start + 10), None)
    assert asked == ["train_images.npy"]


def test_relabelled_images_are_another_split(tmp_path: Path) -> None:
    def split_hash() -> str:
        return load_dataset("medmnist_npz", tmp_path, path="mine.npz").split_hash

    with np.load(write_medmnist(tmp_path / "mine.npz")) as archive:
        labels = archive["test_labels"]
    before = split_hash()
    write_medmnist(tmp_path / "mine.npz", test_labels=labels)
    assert split_hash() == before
    write_medmnist(tmp_path / "mine.npz", test_labels=(labels + 1) % 3)
    assert split_hash() != before


def test_a_file_that_is_missing_or_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with pytest.raises(DataError, match=f"{path}: train_images cannot be read: No such file"):
        open_medmnist_npz(path)
    with pytest.raises(DataError, match=f"{tmp_path}: train_images cannot be read: Is a directory"):
        open_medmnist_npz(tmp_path)
    for content in (b"", b"not an archive", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path}: train_images cannot be read: File is not a zip file"):
            open_medmnist_npz(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_a_data_error(kept: float, tmp_path: Path) -> None:
    path = write_medmnist(tmp_path / "mine.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=f"{path}: train_images cannot be read"):
        open_medmnist_npz(path)


@pytest.mark.parametrize("array", ["train_images", "val_labels"])
def test_a_damaged_array_is_named(array: str, tmp_path: Path) -> None:
    path = write_medmnist(tmp_path / "mine.npz")
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{array}.npy")
    content = bytearray(path.read_bytes())
    middle = entry.header_offset + 30 + len(entry.filename) + 20 + entry.compress_size // 2
    content[middle : middle + 8] = bytes(byte ^ 0xFF for byte in content[middle : middle + 8])
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path}: {array} cannot be read"):
        open_medmnist_npz(path).train.read(np.arange(3), None)


def images(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("array", "content", "words"),
    [
        ("test_images", None, "has no array test_images"),
        ("val_labels", None, "has no array val_labels"),
        ("train_images", images(30, 12, 12, 3, dtype=np.float32), r"train_images is float32 \[30, 12, 12, 3\], but"),
        ("train_images", images(30, 12, 10, 3), r"\[30, 12, 10, 3\]"),
        ("train_images", images(30, 12, 12, 4), r"\[30, 12, 12, 4\]"),
        ("train_images", images(30, 12, 12, 12), r"\[30, 12, 12, 12\]"),
        ("train_images", images(30, 12), r"\[30, 12\]"),
        ("train_images", np.array([{}] * 30), r"train_images is object \[30\]"),
        ("val_images", images(6, 14, 14, 3), "val_images holds images of 14x14 pixels in 3 channels, but train_images"),
        ("val_images", images(6, 12, 12), "val_images holds images of 12x12 pixels in 1 channel, but train_images"),
        ("val_images", images(0, 12, 12, 3), "val_images is empty"),
        ("val_images", images(7, 12, 12, 3), "val_labels has 6 labels for 7 images"),
        ("test_labels", np.zeros((12, 14), np.uint8), "test_labels has 14 labels for each image"),
        ("test_labels", np.zeros((12, 1), np.float32), r"test_labels is float32 \[12, 1\], but integers"),
        ("test_labels", np.zeros((12, 1, 1), np.uint8), r"test_labels is uint8 \[12, 1, 1\], but integers"),
        ("test_labels", np.array([b"0"] * 12), "test_labels is .S1 .12., but integers"),
        ("test_labels", np.array([{}] * 12), r"test_labels is object \[12\]"),
        ("test_labels", np.arange(12) % 2, "test_labels and the 3 classes .* 0 to 2, differ in 2"),
        ("test_labels", np.arange(12) % 4, "test_labels and the 3 classes .* differ in 3"),
        ("test_labels", np.arange(12) % 3 - 1, "test_labels .* differ in -1, 2"),
        ("train_labels", np.arange(30) % 3 + 1, "train_labels .* differ in 0, 3"),
        ("train_labels", np.arange(30), "val_labels .* 30 classes .* differ in 3, 4, 5, 6, 7"),
        ("train_labels", np.zeros(30, np.int64), "train_labels has 1 class"),
    ],
)  # fmt: skip
def test_an_array_that_is_wrong_is_named(array: str, content: np.ndarray | None, words: str, tmp_path: Path) -> None:
    path = write_medmnist(tmp_path / "mine.npz", **{array: content})
    with pytest.raises(DataError, match=words) as raised:
        open_medmnist_npz(path)
    assert str(path) in str(raised.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = write_medmnist(tmp_path / "mine.npz", test_labels=None)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("test_labels.npy", buffer.getvalue())
    with pytest.raises(DataError, match=f"{path}: test_labels is object"):
        open_medmnist_npz(path)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_archive_is_unpacked_once_for_all_processes_and_nothing_of_it_stays(
    processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_medmnist_npz(write_medmnist(tmp_path / "mine.npz"))
    expected = np.concatenate(
        [samples.read(np.arange(len(samples.labels)), 8).numpy() for samples in source.parts.values()]
    )
    source = open_medmnist_npz(tmp_path / "mine.npz")
    folder = tmp_path / "entry"
    folder.mkdir()
    np.save(folder / "images.npy", np.zeros_like(expected))

    def read_whole(*_: object) -> None:
        raise AssertionError("the array is read into memory")

    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.data.sets.medmnist.npy.read_array", read_whole)
        decode_into(folder / "images.npy", source, 8, processes=processes)
    np.testing.assert_array_equal(np.load(folder / "images.npy"), expected)
    assert [path.name for path in folder.iterdir()] == ["images.npy"]


def test_a_damaged_archive_and_a_full_disk_are_told_apart(tmp_path: Path) -> None:
    path = write_medmnist(tmp_path / "mine.npz")
    source = open_medmnist_npz(path)
    with pytest.raises(FileNotFoundError):
        source.train.unpacked(tmp_path / "nowhere")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("train_images.npy").header_offset
    content[start + 200 : start + 260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train_images cannot be read: .*Put MedMNIST's \.npz file there"):
        source.train.unpacked(tmp_path)


def groups_of(num: int, size: int = 2) -> np.ndarray:
    return np.arange(num) // size


def test_groups_of_an_archive_are_kept_together_and_those_that_official_splits_tear_are_found(tmp_path: Path) -> None:
    """Images 0 and 1 of each class are of one patient; those of the first two classes are in train and test."""
    labels = np.repeat(np.arange(3), 10)
    write_medmnist(
        tmp_path / "mine.npz",
        train_labels=labels,
        train_groups=groups_of(30),
        val_groups=np.array([f"v{number}" for number in range(6)]),
        test_groups=np.array([str(number) for number in range(2)] + [f"t{number}" for number in range(10)]),
    )
    source = open_dataset("medmnist_npz", tmp_path, path="mine.npz")
    assert source.train.groups is not None
    assert source.train.groups[:3] == ["0", "0", "1"]
    assert describe_groups(source) == "31 groups of 48 images, by the groups in mine.npz"
    assert set(torn_groups(split_samples(source, val_fraction=0.1, num_train=None))) == {"0", "1"}
    folds = [split_samples(source, val_fraction=0.2, num_train=None, folds=2, fold=fold) for fold in range(2)]
    assert [torn_groups(parts) for parts in folds] == [{}, {}]


@pytest.mark.parametrize(
    ("array", "content", "words"),
    [
        ("train_groups", np.arange(29), r"train_groups is int64 \[29\], but integers or text \[30\] is expected"),
        ("train_groups", np.zeros(30), r"train_groups is float64"),
        ("groups", np.arange(48), "groups is not read: groups stand in train_groups, val_groups, test_groups"),
        ("train_group", np.arange(30), "train_group is not read"),
    ],
)
def test_groups_that_are_wrong_are_named(array: str, content: np.ndarray, words: str, tmp_path: Path) -> None:
    path = write_medmnist(tmp_path / "mine.npz", **{array: content})
    with pytest.raises(DataError, match=words):
        open_medmnist_npz(path)


@pytest.mark.parametrize("missing", MISSING)
def test_an_image_whose_group_is_not_known_is_alone(tmp_path: Path, missing: str) -> None:
    write_medmnist(tmp_path / "mine.npz", train_groups=np.array([missing] * 4 + ["P1"] * 26))
    groups = open_medmnist_npz(tmp_path / "mine.npz").train.groups
    assert groups is not None
    assert (len(set(groups)), set(groups[4:])) == (5, {"P1"})


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_a_group_that_is_spelled_in_two_ways_is_one_in_all_splits(tmp_path: Path, one: str, other: str) -> None:
    train = np.array([one, other] + [f"t{number}" for number in range(28)])
    test = np.array([other] + [f"x{number}" for number in range(11)])
    write_medmnist(tmp_path / "mine.npz", train_groups=train, test_groups=test)
    source = open_medmnist_npz(tmp_path / "mine.npz")
    parts = split_samples(source, val_fraction=0.1, num_train=None)
    assert list(torn_groups(parts)) == [min(one, other)]
