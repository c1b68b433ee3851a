"""Images of your own in the layouts that people have: without splits, with other names of them, named by a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_sets import MISSING, SPELLINGS, write_image_folder

from orchestrator.data import (
    Dataset,
    Source,
    describe_groups,
    describe_splits,
    load_dataset,
    open_dataset,
    split_samples,
    torn_groups,
)
from orchestrator.data.sets.image_folder import open_image_folder
from orchestrator.data.table import Table
from orchestrator.errors import DataError

LABELS = {"a": "mole", "b": "naevus", "c": "mole"}


def opened(root: Path, **layout: Any) -> Source:
    return open_dataset("image_folder", root.parent, path=root.name, layout=layout)


def loaded(root: Path, **layout: Any) -> Dataset:
    return load_dataset("image_folder", root.parent, path=root.name, layout=layout)


def line(source: Source, **options: Any) -> str:
    return describe_splits(source, split_samples(source, val_fraction=0.1, num_train=None, **options))


def refused(root: Path, words: str, **layout: Any) -> None:
    with pytest.raises(DataError, match=words):
        opened(root, **layout)


def write_table(root: Path, header: str, rows: list[str], *, name: str = "labels.csv", encoding: str = "utf-8") -> None:
    (root / name).write_text("\n".join([header, *rows]) + "\n", encoding=encoding)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty images of each of two classes, in ``CLASS/FILE``."""
    root = tmp_path / "mine"
    write_image_folder(tmp_path, splits=("mine",), num=20)
    return root


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Forty images in one folder, and what they show: two of each patient."""
    root = tmp_path / "flat"
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(root / "images" / f"IMG_{number:02}.png")
    return root


def rows_of(*columns: str, num: int = 40, separator: str = ",") -> list[str]:
    """Rows for `flat`, of the columns that are named."""
    values = {
        "file": lambda number: f"IMG_{number:02}.png",
        "label": lambda number: "mole" if number % 4 < 2 else "naevus",
        "patient": lambda number: f"P{number // 2}",
        "split": lambda number: ("train", "train", "train", "test", "val")[number // 4 % 5],
    }
    return [separator.join(values[column](number) for column in columns) for number in range(num)]


def test_classes_without_splits_give_a_stratified_fifth_to_the_test_and_say_so(root: Path) -> None:
    source = opened(root)
    assert source.class_names == ("ant", "bee")
    assert np.bincount(source.test.labels).tolist() == [4, 4]
    assert np.bincount(source.train.labels).tolist() == [16, 16]
    assert {*source.train.ids, *source.test.ids} == {f"{n}/{i:03}.png" for n in ("ant", "bee") for i in range(20)}
    told = line(source)
    assert told.startswith("train 29, val 3, test 8; test is a stratified fifth of the images, held out")
    assert told.endswith("val is a stratified part of train")


def test_train_and_val_without_test_give_a_fifth_of_train_to_the_test(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "mine", splits=("train", "val"))
    source = opened(root)
    assert source.val is not None
    assert len(source.val.labels) == 20
    assert (len(source.train.labels), len(source.test.labels)) == (16, 4)
    assert "test is a stratified fifth" in line(source)


def test_splits_of_other_names_are_read_when_they_are_named(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "mine", splits=("train", "valid", "Test"))
    refused(root, r"Test is not read.*\n.*write splits: \{test: Test\}")
    refused(root, r"valid is not read.*\n.*write splits: \{val: valid\}", splits={"test": "Test"})
    source = opened(root, splits={"val": "valid", "test": "Test"})
    assert source.val is not None
    assert {name.split("/")[0] for name in source.val.ids} == {"valid"}
    assert {name.split("/")[0] for name in source.test.ids} == {"Test"}
    assert "val is a" not in line(source)
    refused(root, r"holdout is missing: splits names it for test", splits={"val": "valid", "test": "holdout"})


@pytest.mark.parametrize(
    ("there", "splits", "read", "told"),
    [
        (("train", "val"), {"test": "val"}, {"train": "train", "test": "val"}, "val is a stratified part of train"),
        (("train", "test"), {"val": "test"}, {"train": "train", "test": "train", "val": "test"}, "test is a strat"),
        (("test", "val"), {"train": "test"}, {"train": "test", "test": "test", "val": "val"}, "test is a strat"),
        (("train", "VAL"), {"test": "VAL"}, {"train": "train", "test": "VAL"}, "val is a stratified part of train"),
        (("d/train", "d/test"), {"train": "d/train", "test": "d/test"}, {"train": "d/train", "test": "d/test"}, "val"),
        (("d/train", "d/test"), {"train": "d/train"}, {"train": "d/train", "test": "d/test"}, "val is a strat"),
        (("train/x", "test/x"), {"train": "train/x", "test": "test/x"}, {"train": "train/x", "test": "test/x"}, "val"),
    ],
)
def test_no_folder_is_two_splits_and_usual_names_are_found_beside_named_ones(
    tmp_path: Path, there: tuple[str, ...], splits: dict[str, str], read: dict[str, str], told: str
) -> None:
    root = write_image_folder(tmp_path / "mine", splits=there)
    source = opened(root, splits=splits)
    assert {split: {name.rsplit("/", 2)[0] for name in part.ids} for split, part in source.parts.items()} == {
        split: {folder} for split, folder in read.items()
    }
    parts = split_samples(source, val_fraction=0.1, num_train=None)
    ids = [samples.ids[index] for samples, indices in parts.values() for index in indices]
    assert len(ids) == len(set(ids)) == 40
    assert told in line(source)
    assert "not read" not in line(source)


@pytest.mark.parametrize(
    ("there", "splits", "words"),
    [
        (("train", "test", "val"), {"test": "val"}, r"mine/test is not read.*\n.*Rename it or move it away\.$"),
        (("train", "test"), {"val": "train"}, r"train is missing"),
        (("d/train", "d/test", "test"), {"train": "d/train"}, r"/test and .*d/test may both be test"),
        (("d/train", "d/valid"), {"train": "d/train"}, r"d/valid is not read.*\n.*splits: \{val: d/valid\}"),
    ],
)
def test_splits_that_are_not_clear_are_refused(
    tmp_path: Path, there: tuple[str, ...], splits: dict[str, str], words: str
) -> None:
    refused(write_image_folder(tmp_path / "mine", splits=there), words, splits=splits)


def test_a_link_to_another_split_is_no_split(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "mine", splits=("train", "test"))
    (root / "val").symlink_to("test")
    refused(root, "are one folder: test and val would have the same images")


def test_what_lies_beside_a_named_split_and_is_not_read_is_said(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "mine", splits=("d/train", "d/masks"))
    assert line(opened(root, splits={"train": "d/train"})).endswith("not read: d/masks")


@pytest.mark.parametrize(("splits", "names"), [({"test": "val"}, "train, val"), ({"val": "TEST"}, "train, TEST")])
def test_no_value_of_a_table_is_two_splits(flat: Path, splits: dict[str, str], names: str) -> None:
    rows = rows_of("file", "label", "split")
    write_table(flat, "file,label,split", rows)
    refused(flat, f"is no split\\.\n  allowed: {names}", csv="labels.csv", splits=splits)
    write_table(flat, "file,label,split", [row.replace("test", "val") for row in rows])
    source = opened(flat, csv="labels.csv", splits={"test": "val"})
    assert (len(source.train.labels), source.val, len(source.test.labels)) == (24, None, 16)


@pytest.mark.parametrize("names", [("Training", "Testing"), ("TRAIN", "TEST")])
def test_folders_called_like_splits_are_not_taken_for_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    root = write_image_folder(tmp_path / "mine", splits=names)
    refused(root, "is not read: the folders of the splits are called train, test, val")


def test_what_lies_beside_the_splits_and_is_not_read_is_said(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "mine")
    (root / "masks").mkdir()
    (root / "metadata.csv").write_text("x,y\n")
    (root / "README.md").write_text("x")
    assert line(opened(root)).endswith("not read: masks, metadata.csv")


def test_a_table_among_the_class_folders_is_refused_with_how_it_is_read(root: Path) -> None:
    write_table(root, "file,patient", ["ant/000.png,P1"])
    refused(root, r"labels\.csv lies among the class folders\.\n.*Write csv: labels\.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_says_label_split_and_group_of_each_image(flat: Path, separator: str, encoding: str) -> None:
    columns = ("file", "label", "split", "patient")
    write_table(flat, separator.join(columns), rows_of(*columns, separator=separator), encoding=encoding)
    source = opened(flat, csv="labels.csv")
    assert source.class_names == ("mole", "naevus")
    assert source.val is not None
    assert (len(source.train.labels), len(source.val.labels), len(source.test.labels)) == (24, 8, 8)
    assert source.train.ids[:3] == ["images/IMG_00.png", "images/IMG_01.png", "images/IMG_02.png"]
    assert source.train.labels[:4].tolist() == [0, 0, 1, 1]
    assert source.train.groups is not None
    assert source.train.groups[:3] == ["P0", "P0", "P1"]
    assert source.grouped_by == "patient in labels.csv"
    dataset = loaded(flat, csv="labels.csv")
    expected = np.asarray(Image.open(flat / "images" / "IMG_00.png")).transpose(2, 0, 1)
    assert (dataset.images[dataset.train.rows[0]].numpy() == expected).all()


def test_without_a_column_of_splits_whole_groups_are_held_out(flat: Path) -> None:
    write_table(flat, "file,label,patient", rows_of("file", "label", "patient"))
    source = opened(flat, csv="labels.csv")
    parts = split_samples(source, val_fraction=0.2, num_train=None)
    assert torn_groups(parts) == {}
    assert len(parts["test"][1]) == 8
    assert "test is a stratified fifth" in line(source)


def test_a_group_of_several_classes_stays_together(flat: Path) -> None:
    """A patient has moles and naevi; a lesion had one class alone."""
    rows = [f"IMG_{number:02}.png,{'mole' if number % 2 else 'naevus'},P{number // 4}" for number in range(40)]
    write_table(flat, "file,label,patient", rows)
    source = opened(flat, csv="labels.csv")
    parts = split_samples(source, val_fraction=0.2, num_train=None)
    assert torn_groups(parts) == {}
    assert [len(indices) for _, indices in parts.values()] == [28, 4, 8]


@pytest.mark.parametrize("missing", MISSING)
def test_an_image_whose_group_is_not_known_is_alone(flat: Path, missing: str) -> None:
    rows = rows_of("file", "label", "patient")
    rows[:4] = [f"{row.rpartition(',')[0]},{missing}" for row in rows[:4]]
    write_table(flat, "file,label,patient", rows)
    assert describe_groups(opened(flat, csv="labels.csv")).startswith("22 groups of 40 images")


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_a_group_that_is_spelled_in_two_ways_is_one(flat: Path, one: str, other: str) -> None:
    rows = rows_of("file", "label", "patient")
    rows[:4] = [f"{row.rpartition(',')[0]},{(one, other)[place % 2]}" for place, row in enumerate(rows[:4])]
    write_table(flat, "file,label,patient", rows)
    source = opened(flat, csv="labels.csv")
    assert describe_groups(source).startswith("19 groups of 40 images")
    assert torn_groups(split_samples(source, val_fraction=0.1, num_train=None)) == {}


def test_groups_that_are_spelled_in_one_way_are_called_so(flat: Path) -> None:
    """Splits follow from their names."""
    write_table(flat, "file,label,patient", [f"{row}.0" for row in rows_of("file", "label", "patient")])
    groups = opened(flat, csv="labels.csv").train.groups
    assert groups is not None
    assert all(group.startswith("P") and group.endswith(".0") for group in groups)


@pytest.mark.parametrize("name", [name for name in MISSING if name.strip() not in ("", "nan")])
def test_a_class_may_be_called_as_what_is_missing_elsewhere(flat: Path, name: str) -> None:
    write_table(flat, "file,label", [row.replace("naevus", name) for row in rows_of("file", "label")])
    assert set(opened(flat, csv="labels.csv").class_names) == {"mole", name}


@pytest.mark.parametrize("name", ["", " ", "nan", "NaN"])
def test_a_label_that_is_missing_is_no_class(flat: Path, name: str) -> None:
    write_table(flat, "file,label", [row.replace("naevus", name) for row in rows_of("file", "label")])
    refused(flat, "20 images without a label", csv="labels.csv")


def test_columns_of_other_names_are_named(flat: Path) -> None:
    write_table(flat, "Bild,Befund,Fall", rows_of("file", "label", "patient"))
    refused(flat, r"labels\.csv has no column of images: its columns are Bild, Befund, Fall", csv="labels.csv")
    columns = {"image": "bild", "label": "Befund", "group": "Fall"}
    source = opened(flat, csv="labels.csv", columns=columns)
    assert source.grouped_by == "Fall in labels.csv"
    refused(flat, "has no column 'nowhere'", csv="labels.csv", columns={**columns, "split": "nowhere"})


def test_two_columns_that_may_be_meant_are_refused(flat: Path) -> None:
    write_table(flat, "file,label,patient,class", [f"{row},x" for row in rows_of("file", "label", "patient")])
    refused(flat, r"label and class may both be the column label\.\n.*columns: \{label: label\}", csv="labels.csv")
    assert opened(flat, csv="labels.csv", columns={"label": "label"}).class_names == ("mole", "naevus")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("images/IMG_07.png", True),
        ("IMG_07.png", True),
        ("IMG_07", True),
        ("img_07.PNG", True),
        ("./images/IMG_07.png", True),
        (r"images\IMG_07.png", True),
        ("/data/elsewhere/IMG_07.png", True),
        ("images/IMG_77.png", False),
        ("IMG_7", False),
    ],
)
def test_images_are_found_by_what_tables_call_them(flat: Path, written: str, found: bool) -> None:
    rows = rows_of("file", "label")
    rows[7] = f"{written},{rows[7].split(',')[1]}"
    write_table(flat, "file,label", rows)
    if found:
        assert "images/IMG_07.png" in opened(flat, csv="labels.csv").train.ids + opened(flat, csv="labels.csv").test.ids
    else:
        refused(flat, f"1 row of 40 names no image below {re.escape(str(flat))}: .*IMG_", csv="labels.csv")


def test_an_image_of_another_folder_is_not_taken_for_one_that_is_missing(root: Path) -> None:
    rows = [f"{name}/{number:03}.png,{name}" for name in ("ant", "bee") for number in range(20)]
    (root / "ant" / "003.png").unlink()
    write_table(root, "file,label", rows)
    refused(root, r"1 row of 40 names no image below .*: ant/003\.png", csv="labels.csv")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [*rows, rows[3]], r"IMG_03\.png stands there twice"),
        (lambda rows: [*rows[:5], "IMG_05.png,,P2", *rows[6:]], r"1 image without a label: images/IMG_05\.png"),
        (lambda rows: [*rows[:5], "IMG_05.png,mole", *rows[6:]], r"labels\.csv:7 has 2 values in 3 columns"),
        (lambda rows: [row.replace("naevus", "mole") for row in rows], "all images are of class 'mole'"),
        (
            lambda rows: [*rows[:5], "IMG_05.png,Mole,P2", *rows[6:]],
            r"labels 'Mole' and 'mole' differ in capitals alone",
        ),
        (
            lambda rows: ["IMG_00.png,1,P0", "IMG_01.png,01,P0", *rows[2:]],
            r"labels '01' and '1' differ in how the number is written alone\.\n  remedy:  Write them alike",
        ),
        (
            lambda rows: ["IMG_00.png,1,P0", "IMG_01.png,1.0,P0", *rows[2:]],
            r"labels '1' and '1\.0' differ in how the number is written alone",
        ),
        (
            lambda rows: ["IMG_00.png,e\u0301,P0", "IMG_01.png,\u00e9,P0", *rows[2:]],
            "labels.csv: \u00e9 looks the same in two rows, but is not: .*NFC.*\n.*uconv",
        ),
        (lambda rows: rows[:0], r"labels\.csv has no row below its header"),
    ],
)
def test_a_table_that_is_wrong_is_refused(flat: Path, change: Any, words: str) -> None:
    write_table(flat, "file,label,patient", change(rows_of("file", "label", "patient")))
    refused(flat, words, csv="labels.csv")


def test_a_table_is_walked_once_for_labels_splits_and_groups(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(flat, "file,label,patient,split", rows_of("file", "label", "patient", "split"))
    walked, values = [], Table.values
    monkeypatch.setattr(Table, "values", lambda table, *columns: walked.append(columns) or values(table, *columns))
    assert describe_groups(open_image_folder(flat, csv="labels.csv")).startswith("20 groups of 40 images")
    assert len(walked) == 1


def test_splits_of_a_table_that_are_none_are_refused_with_how_they_are_named(flat: Path) -> None:
    rows = [row.replace("val", "dev") for row in rows_of("file", "label", "split")]
    write_table(flat, "file,label,split", rows)
    refused(flat, r"split = 'dev' is no split\.\n  allowed: train, test, val\n.*splits: \{val: dev\}", csv="labels.csv")
    source = opened(flat, csv="labels.csv", splits={"val": "dev"})
    assert source.val is not None
    assert len(source.val.labels) == 8


def test_images_that_the_table_does_not_name_are_counted(flat: Path) -> None:
    write_table(flat, "file,label", rows_of("file", "label", num=36))
    assert line(opened(flat, csv="labels.csv")).endswith("not read: 4 images not in labels.csv")


def test_a_table_of_groups_alone_groups_the_class_folders(root: Path) -> None:
    names = [f"{name}/{number:03}.png" for name in ("ant", "bee") for number in range(20)]
    rows = [f"{name},P{number // 2}" for number, name in enumerate(names)]
    write_table(root, "file,patient", rows)
    source = opened(root, csv="labels.csv")
    assert source.class_names == ("ant", "bee")
    assert torn_groups(split_samples(source, val_fraction=0.2, num_train=None)) == {}
    write_table(root, "file,patient", rows[:-2])
    refused(root, r"covers .* images; it lacks bee/018\.png, bee/019\.png", csv="labels.csv")


@pytest.mark.parametrize("name", ["groups.csv", "tables/groups.csv", "tables/v1/groups.csv"])
def test_a_table_of_groups_may_lie_in_a_folder_beside_the_classes(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    files = [f"{name}/{number:03}.png" for name in ("ant", "bee") for number in range(20)]
    write_table(root, "file,patient", [f"{file},P{number // 2}" for number, file in enumerate(files)], name=name)
    source = opened(root, csv=name)
    assert source.class_names == ("ant", "bee")
    assert describe_groups(source).startswith("20 groups of 40 images")


def test_a_class_is_not_passed_over_for_a_table_in_it(root: Path) -> None:
    write_table(root, "file,patient", ["ant/000.png,P1"], name="ant/groups.csv")
    refused(root, r"ant/groups\.csv is not an image file", csv="ant/groups.csv")


@pytest.mark.parametrize(("encoding", "name"), [("latin-1", "CP1252"), ("utf-16", "UTF-16")])
def test_a_table_of_another_encoding_is_refused_with_how_it_is_saved(flat: Path, encoding: str, name: str) -> None:
    rows = [row.replace("mole", "m\u00f6le") for row in rows_of("file", "label")]
    write_table(flat, "file,label", rows, encoding=encoding)
    refused(
        flat, f"not in UTF-8, but e.g. in {name}\\.\n.*Save it as UTF-8, e.g. by iconv -f {name} ", csv="labels.csv"
    )


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ({"images/again": "."}, "flat/images/again leads back to .*flat/images, which it lies in"),
        ({"images/up": "../.."}, "leads back to .*flat, which it lies in|leads back to .*images"),
        ({"a/x": "../b", "b/y": "../a"}, "leads back to"),
        ({"itself": "itself"}, "itself is a symbolic link to itself"),
    ],
)
def test_links_that_make_a_circle_are_named(flat: Path, links: dict[str, str], words: str) -> None:
    write_table(flat, "file,label", rows_of("file", "label"))
    for link, target in links.items():
        (flat / link).parent.mkdir(exist_ok=True)
        (flat / link).symlink_to(target)
    refused(flat, words, csv="labels.csv")


@pytest.mark.parametrize("target", ["..", "itself"])
def test_links_that_make_a_circle_where_nothing_is_read_do_no_harm(tmp_path: Path, target: str) -> None:
    root = write_image_folder(tmp_path / "mine")
    (root / "masks").mkdir()
    (root / "masks" / "itself").symlink_to(target)
    assert len(loaded(root).images) == 40


def test_classes_that_are_numbers_are_in_the_order_of_numbers(flat: Path) -> None:
    write_table(flat, "file,label", [f"IMG_{number:02}.png,{number % 11}" for number in range(33)])
    assert opened(flat, csv="labels.csv").class_names == tuple(map(str, range(11)))


def test_another_layout_is_another_entry_of_the_cache(flat: Path) -> None:
    write_table(flat, "file,label,dx", [f"IMG_{number:02}.png,{number % 2},{number % 4}" for number in range(40)])
    assert loaded(flat, csv="labels.csv", columns={"label": "label"}).num_classes == 2
    assert loaded(flat, csv="labels.csv", columns={"label": "dx"}).num_classes == 4


def test_names_of_splits_that_a_table_does_not_tell_are_refused(flat: Path) -> None:
    write_table(flat, "file,label", rows_of("file", "label"))
    words = r"labels\.csv has no column of splits, and splits says .*\n.*columns: \{split: COLUMN\}"
    refused(flat, words, csv="labels.csv", splits={"test": "holdout"})


def test_folders_that_are_called_like_splits_are_said_to_be_none(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "mine", splits=("train", "test"))
    names = [path.relative_to(root) for path in sorted(root.rglob("*.png"))]
    write_table(root, "file,label", [f"{name},{name.parent.name}" for name in names])
    told = line(opened(root, csv="labels.csv"))
    assert "not read: test, train as splits, since labels.csv has no column of them" in told
    assert "test is a stratified fifth" in told


def test_the_file_of_exactly_this_path_is_meant(flat: Path) -> None:
    (flat / "old" / "images").mkdir(parents=True)
    (flat / "IMG_07.png").write_bytes((flat / "images" / "IMG_07.png").read_bytes())
    (flat / "old" / "images" / "IMG_08.png").write_bytes((flat / "images" / "IMG_08.png").read_bytes())
    rows = rows_of("file", "label")
    rows[8] = f"images/{rows[8]}"
    write_table(flat, "file,label", rows)
    source = opened(flat, csv="labels.csv")
    assert {"IMG_07.png", "images/IMG_08.png"} <= {*source.train.ids, *source.test.ids}


@pytest.mark.parametrize(
    ("twice", "columns"), [("label,Label", "label, Label"), ("patient,Patient", "patient, Patient")]
)
def test_a_column_that_is_there_twice_is_refused(flat: Path, twice: str, columns: str) -> None:
    kind, other = twice.split(",")
    rows = [f"{row},x" for row in rows_of("file", "label", *([kind] if kind != "label" else []))]
    header = "file,label" + (f",{kind}" if kind != "label" else "") + f",{other}"
    write_table(flat, header, rows)
    refused(flat, rf"labels\.csv has the column {kind} 2 times: {columns}\.\n.*another name", csv="labels.csv")
