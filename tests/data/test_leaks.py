"""Every kind of finding is found in a data set, and nothing else; the real ISIC 2017 where it is."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from test_duplicates import SAME, Pixels, altered, photographs, tensor

from orchestrator.data.dataset import ArraySamples
from orchestrator.data.image_files import FileSamples
from orchestrator.data.leaks import Duplicate, Parts, SplitReport, check_splits, cross_duplicates, lines
from orchestrator.data.loading import split_samples
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.data.sets.skin_lesions import open_isic2017
from orchestrator.errors import DataError

CLASSES = ("ant", "bee")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of PNG files of 40 px, no two alike: 12 of each class for training, 4 for the test."""
    pictures = iter(photographs(32, side=40))
    for split, num in (("train", 12), ("test", 4)):
        for name in CLASSES:
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(num):
                Image.fromarray(next(pictures)).save(tmp_path / split / name / f"{number:02}.png")
    return tmp_path


def parts_of(root: Path) -> Parts:
    return split_samples(open_image_folder(root), val_fraction=0.25, num_train=None)


def check(root: Path, *, image_size: int | None = None) -> SplitReport:
    return check_splits("mine", parts_of(root), CLASSES, image_size=image_size)


def findings(report: SplitReport) -> dict[str, int]:
    names = ("unreadable", "exact_across", "near_across", "exact_within", "torn_groups", "missing_classes")
    return {name: len(getattr(report, name)) for name in names if getattr(report, name)}


def ids(duplicate: Duplicate) -> list[str]:
    return [place.id for place in duplicate.places]


def split_of(root: Path, name: str) -> str:
    return next(
        split
        for split, (samples, indices) in parts_of(root).items()
        if name in [samples.ids[index] for index in indices]
    )


def test_a_clean_set_is_ok(root: Path) -> None:
    report = check(root)
    assert findings(report) == {}
    assert report.ok
    assert not report.leaks
    assert report.counts == {"train": (9, 9), "val": (3, 3), "test": (4, 4)}
    assert lines(report) == [
        "mine: 32 images",
        "       train  val  test",
        "  ant      9    3     4",
        "  bee      9    3     4",
        "  all     18    6     8",
        "groups: none known: each image counts as a thing of its own",
        "",
        "no leak between the splits was found",
    ]


def test_the_same_pixels_in_two_splits(root: Path) -> None:
    shutil.copy(root / "train" / "ant" / "03.png", root / "test" / "bee" / "copy.png")
    report = check(root)
    assert findings(report) == {"exact_across": 1}
    (found,) = report.exact_across
    assert ids(found) == ["train/ant/03.png", "test/bee/copy.png"]
    assert found.labels_differ
    assert report.leaks
    assert not report.ok
    split = split_of(root, "train/ant/03.png")
    assert f"  {split} train/ant/03.png (ant) = test test/bee/copy.png (bee)  labels differ" in lines(report)


@pytest.mark.parametrize("change", SAME)
def test_the_same_picture_in_two_splits(root: Path, change: str) -> None:
    with Image.open(root / "train" / "bee" / "05.png") as image:
        SAME[change](image).save(root / "test" / "bee" / "again.png")
    report = check(root)
    assert findings(report) == {"near_across": 1}
    (found,) = report.near_across
    assert ids(found) == ["train/bee/05.png", "test/bee/again.png"]
    assert not found.labels_differ
    assert report.leaks
    split = split_of(root, "train/bee/05.png")
    expected = f"  {found.distance:.3f}  {split} train/bee/05.png (bee) = test test/bee/again.png (bee)"
    assert expected in lines(report)


@pytest.mark.parametrize("change", ["5 % brighter", "cropped", None])
def test_the_same_picture_mirrored_in_two_splits(root: Path, change: str | None) -> None:
    with Image.open(root / "train" / "bee" / "05.png") as image:
        copy = SAME[change](image) if change else image
        ImageOps.mirror(copy).save(root / "test" / "ant" / "mirrored.png")
    report = check(root)
    assert findings(report) == {"near_across": 1}
    (found,) = report.near_across
    assert (ids(found), found.kind) == (["train/bee/05.png", "test/ant/mirrored.png"], "mirrored")
    assert report.leaks
    split, told = split_of(root, "train/bee/05.png"), lines(report)
    title = told.index("the same picture mirrored, in two splits, by distance: 1")
    pair = f"{split} train/bee/05.png (bee) = test test/ant/mirrored.png (ant)  labels differ"
    assert told[title + 1] == f"  {found.distance:.3f}  {pair}"
    assert not any(line.startswith("nearly the same") for line in told)


def test_a_mirrored_picture_within_one_split_is_no_leak(root: Path) -> None:
    with Image.open(root / "test" / "ant" / "00.png") as image:
        ImageOps.mirror(image).save(root / "test" / "bee" / "mirrored.png")
    assert check(root).ok


def test_the_same_pixels_within_one_split_are_no_leak(root: Path) -> None:
    shutil.copy(root / "test" / "ant" / "00.png", root / "test" / "bee" / "copy.png")
    report = check(root)
    assert findings(report) == {"exact_within": 1}
    assert ids(report.exact_within[0]) == ["test/ant/00.png", "test/bee/copy.png"]
    assert report.exact_within[0].labels_differ
    assert report.ok


def test_every_place_of_a_picture_is_named(root: Path) -> None:
    copies = [f"test/bee/copy-{number}.png" for number in range(3)]
    for name in copies:
        shutil.copy(root / "train" / "ant" / "03.png", root / name)
    report = check(root)
    assert findings(report) == {"exact_across": 1}
    assert ids(report.exact_across[0]) == ["train/ant/03.png", *copies]


@pytest.mark.parametrize("image_size", [None, 36])
def test_every_file_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    root: Path, image_size: int | None
) -> None:
    shutil.copy(root / "train" / "ant" / "03.png", root / "test" / "bee" / "copy.png")
    # The first file of all is the one that the others' size is compared with.
    damaged = [root / "train" / "ant" / "00.png", root / "train" / "bee" / "11.png", root / "test" / "ant" / "01.png"]
    damaged[0].write_bytes(b"not an image")
    for path in damaged[1:]:
        path.write_bytes(path.read_bytes()[:500])
    report = check(root, image_size=image_size)
    assert findings(report) == {"unreadable": 3, "exact_across": 1}
    assert sorted(message.split(" cannot be read")[0] for message in report.unreadable) == sorted(map(str, damaged))
    assert sum(map(sum, report.counts.values())) == 33
    assert len(report.table.places) == len(report.table.prints.digests) == 30
    assert "cannot be read: 3" in lines(report)


def test_a_set_without_a_readable_file_lists_all_or_names_the_first(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    report = check(root, image_size=36)
    assert findings(report) == {"unreadable": 32}
    assert len(set(report.unreadable)) == 32
    with pytest.raises(DataError, match=r"train/ant/00\.png cannot be read"):
        check(root)


def test_a_file_of_another_size_is_named(root: Path) -> None:
    victim = root / "test" / "bee" / "02.png"
    Image.new("RGB", (41, 40)).save(victim)
    report = check(root)
    assert findings(report) == {"unreadable": 1}
    assert f"{victim} is 41x40 pixels" in report.unreadable[0]
    assert check(root, image_size=36).ok


def test_images_that_are_not_square_need_a_size(root: Path) -> None:
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            image.crop((0, 0, 40, 36)).save(path)
    with pytest.raises(DataError, match=r"40x36 pixels, not square\.\n  remedy:  Set dataset\.image_size"):
        check(root)
    assert check(root, image_size=36).ok


def test_grey_and_rgb_files_of_a_picture_are_the_same(root: Path) -> None:
    with Image.open(root / "train" / "ant" / "03.png") as image:
        grey = image.convert("L")
    grey.save(root / "train" / "ant" / "03.png")
    grey.convert("RGB").save(root / "test" / "ant" / "copy.png")
    report = check(root)
    assert findings(report) == {"exact_across": 1}


def arrays(pixels: Pixels, split: str, *, groups: Sequence[str] | None = None) -> ArraySamples:
    labels = np.arange(len(pixels), dtype=np.int64) % 2
    return ArraySamples([f"{split}/{index}" for index in range(len(pixels))], labels, tensor(pixels), groups)


def parts_in_arrays(
    train: Pixels, val: Pixels, test: Pixels, *, groups: tuple[Sequence[str] | None, ...] = (None, None, None)
) -> Parts:
    return {
        split: (arrays(pixels, split, groups=of_split), np.arange(len(pixels)))
        for split, pixels, of_split in zip(("train", "val", "test"), (train, val, test), groups, strict=True)
    }


def test_a_group_in_two_splits() -> None:
    pixels = photographs(12)
    groups = (["a", "a", "b", "c"], None, ["d", "b", "e", "f"])
    parts = parts_in_arrays(pixels[:4], pixels[4:8], pixels[8:], groups=groups)
    report = check_splits("mine", parts, CLASSES, image_size=None)
    assert findings(report) == {"torn_groups": 1}
    assert report.leaks
    assert "  b: train train/2 (ant), test test/1 (bee)" in lines(report)


def test_a_class_that_is_missing() -> None:
    pixels = photographs(12)
    parts = dict(parts_in_arrays(pixels[:4], pixels[4:8], pixels[8:]))
    parts["val"] = (parts["val"][0], np.array([1, 3]))
    report = check_splits("mine", parts, CLASSES, image_size=None)
    assert findings(report) == {"missing_classes": 1}
    assert report.missing_classes == (("val", "ant"),)
    assert "  val has none of ant" in lines(report)
    assert not report.ok
    assert not report.leaks


def test_only_what_belongs_to_a_split_counts() -> None:
    pixels = photographs(8)
    samples = arrays(np.concatenate([pixels, pixels]), "all")
    parts = {"train": (samples, np.arange(4)), "val": (samples, np.arange(4, 6)), "test": (samples, np.arange(6, 8))}
    assert check_splits("mine", parts, CLASSES, image_size=None).ok
    parts["test"] = (samples, np.array([8, 9, 6]))
    report = check_splits("mine", parts, CLASSES, image_size=None)
    assert [ids(found) for found in report.exact_across] == [["all/0", "all/8"], ["all/1", "all/9"]]
    assert findings(report) == {"exact_across": 2}


@pytest.mark.parametrize("image_size", [None, 64])
def test_small_images_are_looked_at_for_the_same_pixels_alone(image_size: int | None) -> None:
    pixels = photographs(10, side=28)
    test = np.stack([pixels[0], *altered(pixels[1:3], SAME["jpeg 90"])])
    report = check_splits("mine", parts_in_arrays(pixels[:6], pixels[6:], test), CLASSES, image_size=image_size)
    assert findings(report) == {"exact_across": 1}
    assert "13 images smaller than 32 px: only the same pixels were looked for." in lines(report)


def test_an_array_that_cannot_be_read_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photographs(130, side=32)
    parts = parts_in_arrays(pixels[:120], pixels[120:126], np.concatenate([pixels[126:], pixels[122:123]]))
    original = ArraySamples.read

    def read(self: ArraySamples, indices: np.ndarray, image_size: int | None) -> torch.Tensor:
        if self.ids[0].startswith("train"):
            raise DataError("mine.npz: train_images cannot be read")
        return original(self, indices, image_size)

    monkeypatch.setattr(ArraySamples, "read", read)
    report = check_splits("mine", parts, CLASSES, image_size=None)
    assert report.unreadable == ("mine.npz: train_images cannot be read",)
    assert findings(report) == {"unreadable": 1, "exact_across": 1}


def test_images_are_read_once_and_some_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.data.leaks._BYTES_PER_CHUNK", 5 * 3 * 40 * 40)
    decoded, chunks, told = [], [], []
    original_read, original_decoded = FileSamples.read, FileSamples._decoded

    def read(self: FileSamples, indices: np.ndarray, image_size: int | None) -> torch.Tensor:
        chunks.append(len(indices))
        return original_read(self, indices, image_size)

    def remember(self: FileSamples, name: str, image_size: int | None, expected_px: int) -> np.ndarray:
        decoded.append(name)
        return original_decoded(self, name, image_size, expected_px)

    monkeypatch.setattr(FileSamples, "read", read)
    monkeypatch.setattr(FileSamples, "_decoded", remember)
    threads = torch.get_num_threads()
    check_splits("mine", parts_of(root), CLASSES, image_size=40, progress=told.append)
    assert max(chunks) == 5
    assert len(decoded) == len(set(decoded)) == sum(told) == 32
    assert torch.get_num_threads() == threads


def test_near_duplicates_are_sorted_by_distance() -> None:
    pixels = photographs(20)
    test = np.concatenate([altered(pixels[:3], SAME["all of it"]), altered(pixels[3:6], SAME["jpeg 90"])])
    report = check_splits("mine", parts_in_arrays(pixels[:10], pixels[10:], test), CLASSES, image_size=None)
    distances = [found.distance for found in report.near_across]
    assert distances == sorted(distances)
    assert {tuple(ids(found)) for found in report.near_across[:3]} == {
        (f"train/{row}", f"test/{row}") for row in (3, 4, 5)
    }
    assert findings(report) == {"near_across": 6}


def test_what_two_data_sets_share() -> None:
    pixels = photographs(20)
    one = check_splits("one", parts_in_arrays(pixels[:4], pixels[4:6], pixels[6:8]), CLASSES, image_size=None)
    shared = np.stack([pixels[6], altered(pixels[:1], SAME["jpeg 60"])[0], pixels[1, :, ::-1]])
    train = np.concatenate([pixels[10:14], pixels[10:11]])  # twice in the second set alone: nothing that they share
    two = check_splits("two", parts_in_arrays(train, pixels[14:16], shared), CLASSES, image_size=None)
    exact, mirrored, near = cross_duplicates(one.table, two.table)
    assert [found.kind for found in (exact, mirrored, near)] == ["same pixels", "mirrored", "same picture"]
    assert str(exact) == "one test test/0 (ant) = two test test/0 (ant)"
    assert [str(place) for place in near.places] == ["one train train/0 (ant)", "two test test/1 (bee)"]
    assert near.distance > 0
    assert cross_duplicates(one.table, one.table) == ()


PLANTS = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from(["train", "val", "test"]),
        st.sampled_from(["exact", "jpeg 60", "cropped", "mirrored"]),
    ),
    max_size=6,
    unique_by=lambda plant: plant[0],
)
ORIGINALS = photographs(18)
PLANTED = {"exact": lambda image: image, "mirrored": ImageOps.mirror, **SAME}


@settings(deadline=None, max_examples=40)
@given(PLANTS)
def test_what_is_planted_is_found_and_nothing_else(plants: list[tuple[int, str, str]]) -> None:
    """Row 0 to 3 are trained on, 4 to 7 validate, 8 to 11 test; each plant is added to a split."""
    splits = {name: [*ORIGINALS[first : first + 4]] for name, first in (("train", 0), ("val", 4), ("test", 8))}
    home = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    expected: dict[str, int] = {}
    for row, split, kind in plants:
        splits[split].append(altered(ORIGINALS[row : row + 1], PLANTED[kind])[0])
        if kind == "exact":
            found = "exact_within" if split == home[row] else "exact_across"
        elif split != home[row]:
            found = "near_across"
        else:
            continue
        expected[found] = expected.get(found, 0) + 1
    parts = parts_in_arrays(*(np.stack(splits[name]) for name in ("train", "val", "test")))
    report = check_splits("mine", parts, CLASSES, image_size=None)
    assert findings(report) == expected
    assert report.leaks == bool({"exact_across", "near_across"} & expected.keys())


@pytest.fixture(scope="module")
def real_isic2017(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shared = Path(os.environ.get("ZETASWEEP_SHARED", Path(__file__).parents[2].parent / "shared"))
    archive = shared / "data" / "isic2017" / "isic2017-256px.zip"
    if not archive.is_file():
        pytest.skip(f"the real ISIC 2017 images are not at hand: {archive} (set ZETASWEEP_SHARED)")
    root = tmp_path_factory.mktemp("isic2017")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(root)
    return root


def test_the_real_isic2017_leaks_and_so_does_what_is_planted_in_it(real_isic2017: Path) -> None:
    planted = "ISIC-2017_Test_v2_Data/ISIC_9999999.jpg"
    with Image.open(real_isic2017 / "ISIC-2017_Training_Data" / "ISIC_0000042.jpg") as image:
        SAME["all of it"](image).save(real_isic2017 / planted, quality=70)
    with (real_isic2017 / "ISIC-2017_Test_v2_Part3_GroundTruth.csv").open("a") as table:
        table.write("ISIC_9999999,1.0,0.0\n")
    source = open_isic2017(real_isic2017)
    parts = split_samples(source, val_fraction=0.1, num_train=None)
    report = check_splits("isic2017", parts, source.class_names, image_size=None)

    found = [duplicate for duplicate in report.near_across if planted in ids(duplicate)]
    assert [ids(duplicate) for duplicate in found] == [["ISIC-2017_Training_Data/ISIC_0000042.jpg", planted]]
    own = [duplicate for duplicate in report.near_across if duplicate not in found]
    # What the set is published with, each looked at: the same picture, often with other colours.
    assert [len(report.exact_across), len(own), len(report.exact_within)] == [4, 22, 2]
    assert not any(duplicate.labels_differ for duplicate in [*report.exact_across, *own])
    assert sorted(tuple(sorted(duplicate.splits)) for duplicate in [*report.exact_across, *own]) == (
        [("test", "train")] * 20 + [("test", "val")] * 2 + [("train", "val")] * 4
    )
    assert findings(replace(report, near_across=tuple(own))) == {
        "exact_across": 4,
        "near_across": 22,
        "exact_within": 2,
    }
