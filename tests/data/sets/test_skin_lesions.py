"""The official layouts of the skin-lesion sets, small, and what is wrong with some; the real ISIC 2017 where it is."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lesion_sets import (
    ISIC2018,
    write_dermofit,
    write_ham10000,
    write_isic2016,
    write_isic2017,
    write_isic2018,
    write_jpegs,
)
from PIL import Image

from orchestrator.data import check_dataset, load_dataset
from orchestrator.data.sets.skin_lesions import open_dermofit, open_isic2016, open_isic2017, open_isic2018
from orchestrator.errors import DataError


def counts(labels: np.ndarray, num_classes: int) -> list[int]:
    return np.bincount(labels, minlength=num_classes).tolist()


def test_isic2016_reads_words_and_numbers(tmp_path: Path) -> None:
    write_isic2016(tmp_path)
    source = open_isic2016(tmp_path)
    assert source.class_names == ("benign", "malignant")
    assert counts(source.train.labels, 2) == [12, 8]
    assert counts(source.test.labels, 2) == [4, 2]
    assert source.val is None


def test_isic2017_takes_what_has_no_class_for_a_nevus_and_passes_superpixels_over(tmp_path: Path) -> None:
    write_isic2017(tmp_path)
    (tmp_path / "ISIC-2017_Training_Data" / "ISIC_0000000_superpixels.png").write_bytes(b"no image")
    source = open_isic2017(tmp_path)
    assert source.class_names == ("nevus", "melanoma", "seborrheic_keratosis")
    assert counts(source.train.labels, 3) == [10, 6, 4]
    assert source.val is not None
    assert counts(source.val.labels, 3) == [3, 2, 1]
    assert counts(source.test.labels, 3) == [4, 2, 2]
    # The n-th image is labelled as the n-th row says, whatever the order of the rows.
    assert source.train.ids[0] == "ISIC-2017_Training_Data/ISIC_0000000.jpg"


@pytest.mark.parametrize("table", ["ISIC2018_Task3_Training_LesionGroupings.csv", "HAM10000_metadata.csv"])
def test_isic2018_keeps_the_images_of_a_lesion_together(tmp_path: Path, table: str) -> None:
    write_isic2018(tmp_path, lesions=table)
    lesion_of = {}
    for row in (tmp_path / table).read_text().splitlines()[1:]:
        values = row.split(",")
        lesion_of |= {values[0]: values[1]} if values[0].startswith("ISIC_") else {values[1]: values[0]}
    source = open_isic2018(tmp_path)
    assert source.class_names == ISIC2018
    assert len(source.train.ids) + len(source.test.ids) == 7 * 12

    def lesions(ids: object) -> set[str]:
        assert isinstance(ids, list)
        return {lesion_of[Path(name).stem] for name in ids}

    assert len(set(lesion_of.values())) < 7 * 12
    assert not lesions(source.train.ids) & lesions(source.test.ids)
    for samples in (source.train, source.test):
        assert min(counts(samples.labels, 7)) > 0
    dataset = load_dataset("isic2018", link(tmp_path, "isic2018"), image_size=8)
    assert len(dataset.train) + len(dataset.val) == len(source.train.ids)
    assert min(dataset.val.labels.bincount(minlength=7).tolist()) > 0


def test_isic2018_without_lesions_and_with_official_splits(tmp_path: Path) -> None:
    write_isic2018(tmp_path, lesions=None, official=True)
    source = open_isic2018(tmp_path)
    assert source.train.groups is None
    assert len(source.train.ids) == 7 * 12
    assert source.val is not None
    assert len(source.val.ids) == 7
    assert len(source.test.ids) == 14


def test_validation_of_isic2018_tears_no_lesion_apart(tmp_path: Path) -> None:
    from orchestrator.data.splits import validation_indices

    write_isic2018(tmp_path, lesions="HAM10000_metadata.csv")
    train = open_isic2018(tmp_path).train
    assert train.groups is not None
    chosen = set(validation_indices(train.ids, train.labels, ISIC2018, fraction=0.2, groups=train.groups).tolist())
    inside = {train.groups[index] for index in chosen}
    outside = {train.groups[index] for index in range(len(train.ids)) if index not in chosen}
    assert not inside & outside
    assert 0 < len(chosen) <= round(0.2 * len(train.ids))


def test_dermofit_passes_masks_over_and_holds_a_stratified_fifth_out(tmp_path: Path) -> None:
    write_dermofit(tmp_path)
    source = open_dermofit(tmp_path)
    assert len(source.class_names) == 10
    assert counts(source.train.labels, 10) == [8] * 10
    assert counts(source.test.labels, 10) == [2] * 10
    assert not [name for name in [*source.train.ids, *source.test.ids] if "mask" in name]


WRITERS: dict[str, Callable[[Path], None]] = {
    "isic2016": write_isic2016,
    "isic2017": write_isic2017,
    "isic2018": write_isic2018,
    "ham10000": write_ham10000,
    "dermofit": write_dermofit,
}


def link(root: Path, name: str) -> Path:
    """A data_dir in which `root` has the name of the set."""
    folder = root.parent / f"{root.name}-data"
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(root)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_images_of_many_sizes_are_resized(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    root.mkdir()
    WRITERS[name](root)
    largest = max(root.rglob("*.jpg"), default=None) or max(root.rglob("*[0-9].png"))
    Image.new("RGB", (40, 25), "red").save(largest)
    check_dataset(name, tmp_path)
    dataset = load_dataset(name, tmp_path, image_size=12)
    assert dataset.images[dataset.train.rows].shape[1:] == (3, 12, 12)
    with pytest.raises(DataError, match=r"Set dataset\.image_size"):
        load_dataset(name, tmp_path)


TRAINING_2017 = "ISIC-2017_Training_Part3_GroundTruth.csv"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("melanoma,", "melanome,"), "no column 'melanoma'"),
        (lambda text: text + "ISIC_0009999,1.0,0.0\n", "names ISIC_0009999, but .* has no such image .1 of 21"),
        (lambda text: text.replace("ISIC_0000003,", "ISIC_0000002,"), "ISIC_0000002 stands there twice"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "ISIC_0000019.jpg has no label in"),
        (lambda text: text.replace("1.0,0.0", "1.0,1.0", 1), "1.0, 1.0: exactly one class is expected"),
        (lambda text: text.replace("1.0,0.0", "yes,no", 1), "yes, no where 0 and 1 are expected"),
        (lambda text: text.replace("1.0,0.0", "1.0", 1), "has 2 values in 3 columns"),
        (lambda text: text.replace("1.0,0.0", "0.0,0.0"), "has no image of class 'melanoma'"),
        (lambda _: "", "is empty"),
        (lambda text: "\0\ufffd" + text, "no column|cannot be read"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path: Path, change: Callable[[str], str], words: str) -> None:
    write_isic2017(tmp_path)
    table = tmp_path / TRAINING_2017
    table.write_text(change(table.read_text()))
    with pytest.raises(DataError, match=words) as raised:
        open_isic2017(tmp_path)
    assert str(table) in str(raised.value)


def test_all_labels_without_an_image_are_in_the_details(tmp_path: Path) -> None:
    write_isic2017(tmp_path)
    lost = ["ISIC_0000004", "ISIC_0000011"]
    for name in lost:
        (tmp_path / "ISIC-2017_Training_Data" / f"{name}.jpg").unlink()
    with pytest.raises(DataError, match=r"names ISIC_0000004, but .* has no such image .2 of 20 are missing") as raised:
        open_isic2017(tmp_path)
    assert raised.value.details == tuple(lost)
    assert lost[1] not in str(raised.value)
    # Errors go from process to process.
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (str(copied), copied.details) == (str(raised.value), tuple(lost))


def test_all_images_without_a_label_are_in_the_details(tmp_path: Path) -> None:
    write_isic2017(tmp_path)
    table = tmp_path / TRAINING_2017
    table.write_text("\n".join(table.read_text().splitlines()[:-3]))
    with pytest.raises(DataError, match=r"ISIC_0000017.jpg has no label in .* .3 images without one") as raised:
        open_isic2017(tmp_path)
    assert raised.value.details == tuple(f"ISIC-2017_Training_Data/ISIC_{number:07}.jpg" for number in (17, 18, 19))


def test_an_error_about_one_thing_has_no_details() -> None:
    assert DataError("x").details == ()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_isic2017(tmp_path)
    (tmp_path / TRAINING_2017).unlink()
    with pytest.raises(
        DataError, match=f"{TRAINING_2017} cannot be read: No such file.*docs/data-sets.md shows the lay"
    ):
        open_isic2017(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DataError, match=r"AK is missing: DermoFit's Actinic Keratosis images.*docs/data-sets\.md"):
        open_dermofit(other)
    (other / "AK").mkdir()
    with pytest.raises(DataError, match=r"AK holds no image: .*docs/data-sets\.md"):
        open_dermofit(other)


def test_a_folder_of_images_that_is_missing_is_named(tmp_path: Path) -> None:
    write_isic2017(tmp_path)
    shutil.rmtree(tmp_path / "ISIC-2017_Validation_Data")
    with pytest.raises(
        DataError, match=r"ISIC-2017_Validation_Data cannot be listed: No such file.*\n.*docs/data-sets\.md"
    ):
        open_isic2017(tmp_path)


def test_a_line_of_isic2016_that_is_neither_is_named_with_its_number(tmp_path: Path) -> None:
    write_isic2016(tmp_path)
    table = tmp_path / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table.write_text(table.read_text().replace("malignant", "suspicious", 1))
    with pytest.raises(DataError, match=r"GroundTruth\.csv:13: 'ISIC_0000012,suspicious' is not IMAGE,benign"):
        open_isic2016(tmp_path)


def test_a_lesion_of_two_classes_is_refused(tmp_path: Path) -> None:
    write_isic2018(tmp_path, lesions="HAM10000_metadata.csv")
    table = tmp_path / "HAM10000_metadata.csv"
    rows = table.read_text().splitlines()
    rows[-1] = ",".join([rows[1].split(",")[0], *rows[-1].split(",")[1:]])
    table.write_text("\n".join(rows))
    with pytest.raises(DataError, match="has images of 'MEL' and 'VASC': one thing has one class"):
        open_isic2018(tmp_path)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    root = tmp_path / "isic2017"
    root.mkdir()
    write_isic2017(root)
    victim = root / "ISIC-2017_Test_v2_Data" / "ISIC_0000002.jpg"
    write_jpegs(victim.parent, [victim.stem], side=64)
    victim.write_bytes(victim.read_bytes()[:300])
    check_dataset("isic2017", tmp_path)
    with pytest.raises(DataError, match=f"{victim} cannot be read as an image"):
        load_dataset("isic2017", tmp_path, image_size=12)


@pytest.fixture(scope="session")
def real_isic2017(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shared = Path(os.environ.get("ZETASWEEP_SHARED", Path(__file__).parents[3].parent / "shared"))
    archive = shared / "data" / "isic2017" / "isic2017-256px.zip"
    if not archive.is_file():
        pytest.skip(f"the real ISIC 2017 images are not at hand: {archive} (set ZETASWEEP_SHARED)")
    data_dir = tmp_path_factory.mktemp("data")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(data_dir / "isic2017")
    return data_dir


def test_the_real_isic2017_has_its_official_counts(real_isic2017: Path) -> None:
    check_dataset("isic2017", real_isic2017)
    source = open_isic2017(real_isic2017 / "isic2017")
    assert source.val is not None
    assert counts(source.train.labels, 3) == [1372, 374, 254]
    assert counts(source.val.labels, 3) == [78, 30, 42]
    assert counts(source.test.labels, 3) == [393, 117, 90]
    dataset = load_dataset("isic2017", real_isic2017, image_size=32)
    assert [len(split) for split in (dataset.train, dataset.val, dataset.test)] == [2000, 150, 600]
    assert Counter(dataset.test.labels.tolist()) == {0: 393, 1: 117, 2: 90}
    # Skin is reddish.
    assert dataset.mean[0] > dataset.mean[1] > 0.3
