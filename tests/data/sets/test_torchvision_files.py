from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from file_sets import write_eurosat, write_imagenette, write_noise, write_oxford_pets
from PIL import Image
from scipy.io import loadmat

from orchestrator.data import DATASETS, Source, check_dataset, download_dataset
from orchestrator.data.sets.torchvision_files import EUROSAT_CLASSES, IMAGENETTE_CLASSES, PET_CLASSES
from orchestrator.errors import DataError

NAMES = ["flowers102", "oxford_pets", "imagenette", "eurosat"]


def opened(name: str, tmp_path: Path) -> Source:
    return DATASETS[name].open(tmp_path / name)


def counts(labels: np.ndarray) -> set[int]:
    return set(np.bincount(labels).tolist())


@pytest.mark.parametrize("name", NAMES)
def test_no_image_is_decoded_before_it_is_read_and_a_damaged_one_is_named(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    place(name)
    root = tmp_path / name
    victim = root / opened(name, tmp_path).test.ids[-1]
    victim.write_bytes(victim.read_bytes()[:60])
    check_dataset(name, tmp_path)
    test = opened(name, tmp_path).test
    test.read(np.arange(len(test.labels) - 1), None)
    with pytest.raises(DataError, match=f"{victim} cannot be read as an image"):
        test.read(np.arange(len(test.labels)), None)


@pytest.mark.parametrize("name", NAMES)
def test_images_are_read_from_the_files_that_the_ids_name(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    place(name)
    for samples in opened(name, tmp_path).parts.values():
        images = samples.read(np.array([0, 7]), None)
        for image, index in zip(images, (0, 7), strict=True):
            expected = np.asarray(Image.open(tmp_path / name / samples.ids[index]))
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_many_sizes_need_a_size(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    test = opened(name, tmp_path).test
    Image.new("RGB", (40, 25), "red").save(tmp_path / name / test.ids[1], format="PNG")
    check_dataset(name, tmp_path)
    assert test.read(np.array([0, 1]), 10).shape == (2, 3, 10, 10)
    with pytest.raises(DataError, match=r"Set dataset\.image_size"):
        test.read(np.array([0, 1]), None)


@pytest.mark.parametrize(("name", "file"), [(name, file) for name in NAMES for file in DATASETS[name].files])
def test_what_is_missing_is_named(name: str, file: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    victim = tmp_path / name / file
    if victim.is_dir():
        shutil.rmtree(victim)
    else:
        victim.unlink()
    with pytest.raises(DataError, match=str(victim)):
        check_dataset(name, tmp_path)
    with pytest.raises(DataError, match=str(tmp_path / name)):
        opened(name, tmp_path)


@pytest.mark.parametrize("name", ["flowers102", "oxford_pets"])
def test_a_missing_image_is_named(name: str, tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place(name)
    names = opened(name, tmp_path).test.ids
    for lost in names[5:7]:
        (tmp_path / name / lost).unlink()
    with pytest.raises(DataError, match=rf"{names[5]} is missing, but .* names it \(2 of {len(names)} images"):
        check_dataset(name, tmp_path)


def test_flowers102_has_its_official_splits_and_labels(tmp_path: Path, place: Callable[[str], str | None]) -> None:
    place("flowers102")
    source = opened("flowers102", tmp_path)
    assert len(source.class_names) == 102
    assert source.class_names[:2] == ("pink primrose", "hard-leaved pocket orchid")
    folder = tmp_path / "flowers102" / "flowers-102"
    labels = loadmat(folder / "imagelabels.mat")["labels"][0]
    numbers = loadmat(folder / "setid.mat")
    for split, key in (("train", "trnid"), ("val", "valid"), ("test", "tstid")):
        samples = source.parts[split]
        assert samples.ids == [f"flowers-102/jpg/image_{number:05}.jpg" for number in numbers[key][0]]
        assert samples.labels.tolist() == [labels[number - 1] - 1 for number in numbers[key][0]]


@pytest.mark.parametrize("name", ["imagelabels.mat", "setid.mat"])
def test_a_damaged_table_of_flowers102_is_a_data_error(
    name: str, tmp_path: Path, place: Callable[[str], str | None]
) -> None:
    place("flowers102")
    table = tmp_path / "flowers102" / "flowers-102" / name
    table.write_bytes(table.read_bytes()[:-10])
    with pytest.raises(DataError, match=f"Flowers102 below {tmp_path / 'flowers102'} cannot be read"):
        check_dataset("flowers102", tmp_path)


def test_oxford_pets_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    root = tmp_path / "oxford_pets"
    write_oxford_pets(root)
    source = opened("oxford_pets", tmp_path)
    for split, samples in (("trainval", source.train), ("test", source.test)):
        theirs = torchvision.datasets.OxfordIIITPet(root, split=split)
        assert len(theirs) == len(samples.labels)
        for index in range(0, len(theirs), 10):
            image, label = theirs[index]
            assert label == samples.labels[index]
            ours = samples.read(np.array([index]), None)[0].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(ours, np.asarray(image))
        assert theirs.classes == [name.replace("_", " ").title() for name in source.class_names]
    assert not [name for name in [*source.train.ids, *source.test.ids] if "beagle_116" in name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("beagle_0 5 2 1", "beagle_0 5 2"), r"trainval.txt:25: 'beagle_0 5 2' is not IMAGE"),
        (lambda text: text.replace("beagle_0 5 2 1", "beagle_0 38 2 1"), "with CLASS from 1 to 37"),
        (lambda text: text.replace("beagle_0 5 2 1", "beagle_0 0 2 1"), "'beagle_0 0 2 1' is not"),
        (lambda text: text.replace("beagle_0 5 2 1", "beagle_0 five 2 1"), "'beagle_0 five 2 1' is not"),
        (lambda text: text.replace("beagle_0 5 2 1", "../../beagle_0 5 2 1"), "'../../beagle_0 5 2 1' is not"),
        (lambda text: text[: len(text) // 2], "is not IMAGE|names no image of class"),
        (lambda text: text.replace(" 5 2 1", " 6 2 1"), "names no image of class 'beagle'"),
        (lambda _: "", "names no image of class 'Abyssinian'"),
    ],
)
def test_a_list_of_oxford_pets_that_is_wrong_is_named(change: Callable[[str], str], words: str, tmp_path: Path) -> None:
    root = tmp_path / "oxford_pets"
    write_oxford_pets(root)
    table = root / "oxford-iiit-pet" / "annotations" / "trainval.txt"
    table.write_text(change(table.read_text()))
    with pytest.raises(DataError, match=words) as raised:
        check_dataset("oxford_pets", tmp_path)
    assert str(table) in str(raised.value)


def test_a_list_of_oxford_pets_that_is_no_text_is_named(tmp_path: Path) -> None:
    root = tmp_path / "oxford_pets"
    write_oxford_pets(root)
    table = root / "oxford-iiit-pet" / "annotations" / "test.txt"
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=f"{table} cannot be read"):
        check_dataset("oxford_pets", tmp_path)


def test_imagenette_takes_the_largest_images_and_tests_on_val(tmp_path: Path) -> None:
    root = tmp_path / "imagenette"
    for folder in ("imagenette2-160", "imagenette2-320", "imagenette2"):
        write_imagenette(root, folder)
        source = opened("imagenette", tmp_path)
        assert {name.rpartition("/n")[0].rpartition("/n")[0] for name in source.train.ids} == {f"{folder}/train"}
        assert {name.rpartition("/n")[0].rpartition("/n")[0] for name in source.test.ids} == {f"{folder}/val"}
        assert source.val is None
    assert source.class_names[:2] == ("tench", "English springer")
    assert (counts(source.train.labels), counts(source.test.labels)) == ({8}, {3})
    for name, label in zip(source.test.ids, source.test.labels, strict=True):
        assert name.split("/")[2] == list(IMAGENETTE_CLASSES)[label]


def test_imagenette_of_any_size_is_not_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_imagenette(tmp_path / "imagenette", "imagenette2-160")
    monkeypatch.setattr(torchvision.datasets, "Imagenette", lambda **_: pytest.fail("downloaded"))
    download_dataset("imagenette", tmp_path)


def test_a_class_of_imagenette_that_is_missing_or_too_many_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "imagenette" / "imagenette2-320"
    write_imagenette(tmp_path / "imagenette")
    moved = (folder / "val" / "n03000684").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=f"{folder / 'val'}: its class folders differ .* in n03000684"):
        check_dataset("imagenette", tmp_path)
    moved.rename(folder / "val" / "n03000684")
    write_noise([folder / "train" / "n12345678" / "n12345678_0.JPEG"])
    with pytest.raises(DataError, match="n12345678"):
        check_dataset("imagenette", tmp_path)
    shutil.rmtree(folder / "train")
    with pytest.raises(DataError, match=f"{folder / 'train'}"):
        check_dataset("imagenette", tmp_path)


def test_a_fifth_of_eurosat_is_held_out_of_each_class(tmp_path: Path) -> None:
    write_eurosat(tmp_path / "eurosat")
    source = opened("eurosat", tmp_path)
    assert source.class_names == EUROSAT_CLASSES
    assert (counts(source.train.labels), counts(source.test.labels)) == ({16}, {4})
    assert not set(source.train.ids) & set(source.test.ids)
    for name, label in zip(source.test.ids, source.test.labels, strict=True):
        assert name.split("/")[:3] == ["eurosat", "2750", EUROSAT_CLASSES[label]]


def test_the_held_out_fifth_of_eurosat_never_changes(tmp_path: Path) -> None:
    # Results of different versions can be compared only as long as this holds: do not adapt it.
    write_eurosat(tmp_path / "eurosat")
    test = opened("eurosat", tmp_path).test
    chosen = {name.rpartition("/")[2] for name in test.ids}
    assert {name for name in chosen if "Forest" in name} == {f"Forest_{number}.jpg" for number in (3, 8, 14, 19)}
    assert {name for name in chosen if "Sea" in name} == {f"SeaLake_{number}.jpg" for number in (3, 7, 8, 16)}


def test_the_classes_of_eurosat_must_be_complete(tmp_path: Path) -> None:
    folder = tmp_path / "eurosat" / "eurosat" / "2750"
    write_eurosat(tmp_path / "eurosat")
    write_noise([folder / "Volcano" / "Volcano_1.jpg"])
    with pytest.raises(DataError, match=f"{folder}: its class folders differ .* in Volcano"):
        check_dataset("eurosat", tmp_path)
    shutil.rmtree(folder / "Volcano")
    shutil.rmtree(folder / "River")
    with pytest.raises(DataError, match="in River"):
        check_dataset("eurosat", tmp_path)
    (folder / "River").mkdir()
    with pytest.raises(DataError, match="River holds no image"):
        check_dataset("eurosat", tmp_path)


def test_the_names_of_the_classes_are_distinct_and_in_order() -> None:
    assert len(set(PET_CLASSES)) == 37
    assert list(PET_CLASSES) == sorted(PET_CLASSES, key=str.lower)
    # torchvision numbers class folders in the order of their names.
    assert list(EUROSAT_CLASSES) == sorted(EUROSAT_CLASSES)
    assert list(IMAGENETTE_CLASSES) == sorted(IMAGENETTE_CLASSES)
    theirs = torchvision.datasets.Imagenette._WNID_TO_CLASS
    assert {wnid: names[0] for wnid, names in theirs.items()} == IMAGENETTE_CLASSES
