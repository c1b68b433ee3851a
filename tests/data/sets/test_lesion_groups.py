"""Whichever way the lesions of HAM10000 are told, none is trained on and tested on, unless it is said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from lesion_sets import ISIC2018, write_ham10000, write_isic2018
from small_sets import MISSING

from orchestrator.data import NO_GROUPS, describe_groups, load_dataset, split_samples, torn_groups
from orchestrator.data.dataset import Source
from orchestrator.data.sets.skin_lesions import open_ham10000, open_isic2018
from orchestrator.errors import DataError

# As the real one is: ids, groups, and how many images show one lesion, which is six at most.
NUM_IMAGES, NUM_LESIONS = 10_015, 7_470
COUNTS = {"MEL": 1113, "NV": 6705, "BCC": 514, "AKIEC": 327, "BKL": 1099, "DF": 115, "VASC": 142}
FIRST_IMAGE = 24_306

Row = dict[str, str]
Rows = list[Row]


@pytest.fixture(scope="session")
def ham10000_rows() -> Rows:
    """Return a table like the real one: lesion_id, image_id, dx, dx_type, age, sex, localization."""
    rng = random.Random(0)
    classes = [name for name, count in COUNTS.items() for _ in range(count)]
    # The first image of each lesion, then those that show one of them again.
    lesions = sorted(rng.sample(range(NUM_IMAGES), NUM_LESIONS))
    firsts = set(lesions) | {classes.index(name) for name in COUNTS}
    while len(firsts) > NUM_LESIONS:
        firsts.discard(rng.choice(sorted(firsts - {classes.index(name) for name in COUNTS})))
    number, lesion_of = -1, []
    for index in range(NUM_IMAGES):
        number += index in firsts
        lesion_of.append(number)
    ids = rng.sample(range(FIRST_IMAGE, FIRST_IMAGE + NUM_IMAGES), NUM_IMAGES)
    rows = [
        {
            "lesion_id": f"HAM_{lesion:07}",
            "image_id": f"ISIC_{ids[index]:07}",
            "dx": classes[index].lower(),
            "dx_type": rng.choice(["histo", "follow_up", "consensus"]),
            "age": str(5 * rng.randrange(18)) + ".0",
            "sex": rng.choice(["male", "female", "unknown"]),
            "localization": rng.choice(["back", "lower extremity", "scalp"]),
        }
        for index, lesion in enumerate(lesion_of)
    ]
    rng.shuffle(rows)
    assert len({row["lesion_id"] for row in rows}) == NUM_LESIONS
    return rows


@pytest.fixture(scope="session")
def ham10000_root(tmp_path_factory: pytest.TempPathFactory, ham10000_rows: Rows) -> Path:
    """A folder in the layout of ISIC 2018 with all images of HAM10000, without a pixel, and without lesions."""
    root = tmp_path_factory.mktemp("isic2018")
    images = root / "ISIC2018_Task3_Training_Input"
    images.mkdir()
    table = [",".join(["image", *ISIC2018])]
    for row in sorted(ham10000_rows, key=lambda row: row["image_id"]):
        (images / f"{row['image_id']}.jpg").touch()
        table.append(",".join([row["image_id"], *("1.0" if row["dx"].upper() == name else "0.0" for name in ISIC2018)]))
    (root / "ISIC2018_Task3_Training_GroundTruth.csv").write_text("\n".join(table))
    return root


def text_of(rows: Rows, *, delimiter: str = ",", columns: tuple[str, ...] | None = None) -> str:
    columns = columns or tuple(rows[0])
    lines = [delimiter.join(columns), *(delimiter.join(row[column] for column in columns) for row in rows)]
    return "\n".join(lines) + "\n"


def quoted(rows: Rows) -> str:
    """As Dataverse serves it: tabs, and quotes around what is text."""
    lines = ["\t".join(value if value[0].isdigit() else f'"{value}"' for value in row.values()) for row in rows]
    return "\n".join(["\t".join(rows[0]), *lines]) + "\n"


def with_ids(rows: Rows, change: Callable[[str], str]) -> Rows:
    return [row | {"image_id": change(row["image_id"])} for row in rows]


def torn(source: Source, rows: Rows) -> set[str | None]:
    """The lesions, by the true table, that a test image shows and a training or validation image, too."""
    lesion_of = {row["image_id"]: row["lesion_id"] for row in rows}
    parts = split_samples(source, val_fraction=0.1, num_train=None)
    shown = {
        split: {lesion_of.get(Path(samples.ids[index]).stem) for index in indices} - {None}
        for split, (samples, indices) in parts.items()
    }
    return (shown["test"] | shown["val"]) & shown["train"] | shown["test"] & shown["val"]


VARIANTS: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "Kaggle": ("HAM10000_metadata.csv", text_of),
    "Dataverse": ("HAM10000_metadata.tab", quoted),
    "Dataverse's original": ("HAM10000_metadata", text_of),
    "another name": ("lesions.tsv", lambda rows: text_of(rows, delimiter="\t")),
    "semicolons": ("HAM10000_metadata.csv", lambda rows: text_of(rows, delimiter=";")),
    "small letters": ("HAM10000_metadata.csv", lambda rows: text_of(with_ids(rows, str.lower))),
    "file names": ("HAM10000_metadata.csv", lambda rows: text_of(with_ids(rows, lambda name: f"{name}.jpg"))),
    "paths": ("HAM10000_metadata.csv", lambda rows: text_of(with_ids(rows, lambda name: f"part_1\\{name}.JPG"))),
    "byte order mark": ("HAM10000_metadata.csv", lambda rows: "\ufeff" + text_of(rows)),
    "Windows": ("HAM10000_metadata.csv", lambda rows: text_of(rows).replace("\n", "\r\n")),
    "other columns": (
        "HAM10000_metadata.csv",
        lambda rows: text_of(rows, columns=("image_id", "sex", "lesion_id")).replace("lesion_id", "Lesion ID"),
    ),
    "challenge": (
        "ISIC2018_Task3_Training_LesionGroupings.csv",
        lambda rows: text_of(rows, columns=("image_id", "lesion_id", "dx_type")).replace("image_id", "image", 1),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_lesion_of_ham10000_is_torn(variant: str, ham10000_root: Path, ham10000_rows: Rows) -> None:
    name, text = VARIANTS[variant]
    table = ham10000_root / name
    table.write_text(text(ham10000_rows), encoding="utf-8")
    try:
        source = open_isic2018(ham10000_root)
    finally:
        table.unlink()
    assert not torn(source, ham10000_rows)
    assert describe_groups(source) == f"7,470 groups of 10,015 images, by lesion_id in {name}"
    assert abs(len(source.test.ids) - NUM_IMAGES / 5) < 10


def test_without_a_table_lesions_are_torn_and_it_is_said(ham10000_root: Path, ham10000_rows: Rows) -> None:
    """What the other tests would find if a table were not heeded."""
    source = open_isic2018(ham10000_root)
    assert len(torn(source, ham10000_rows)) > 400
    assert describe_groups(source) == NO_GROUPS


REFUSED: dict[str, tuple[Callable[[Rows], str], str]] = {
    "cut after half of the rows": (
        lambda rows: text_of(rows[: NUM_IMAGES // 2]),
        r"lesion_id in HAM10000_metadata\.csv covers 5,007 of 10,015 images; it lacks .*ISIC_.*\.jpg, .*, …",
    ),
    "cut in the middle of a row": (
        lambda rows: text_of(rows)[: len(text_of(rows)) // 2].rpartition(",")[0],
        r"metadata\.csv:\d+ has \d values in 7 columns|covers",
    ),
    "a row is missing": (lambda rows: text_of(rows[1:]), r"covers 10,014 of 10,015 images; it lacks .*\.jpg\."),
    "ids of another kind": (
        lambda rows: text_of(with_ids(rows, lambda name: name.removeprefix("ISIC_"))),
        r"names none of the images: it has 0024306, 0024307, 0024308, …, the images are isic_0024306,",
    ),
    "no lesions in it": (
        lambda rows: text_of(rows, columns=("image_id", "dx")),
        r"has no column 'lesion_id': its columns are image_id, dx",
    ),
    "no images in it": (
        lambda rows: text_of(rows, columns=("lesion_id", "dx")),
        r"has no column 'image' or 'image_id' or .*: its columns are lesion_id, dx",
    ),
    "an image of two lesions": (
        lambda rows: text_of([*rows, rows[0] | {"lesion_id": "HAM_9999999"}]),
        r"is of lesion_id 'HAM_9999999', but of 'HAM_",
    ),
}


@pytest.mark.parametrize("corruption", REFUSED)
def test_a_table_that_does_not_tell_of_every_image_is_refused(
    corruption: str, ham10000_root: Path, ham10000_rows: Rows
) -> None:
    text, words = REFUSED[corruption]
    table = ham10000_root / "HAM10000_metadata.csv"
    table.write_text(text(ham10000_rows))
    try:
        with pytest.raises(DataError, match=words):
            open_isic2018(ham10000_root)
    finally:
        table.unlink()


@pytest.mark.parametrize("name", ["HAM10000_metadata.csv", "mine.csv"])
def test_a_table_that_cannot_be_read_is_not_passed_over(name: str, tmp_path: Path) -> None:
    write_isic2018(tmp_path)
    table = tmp_path / "HAM10000_metadata.csv"
    text = table.read_text()
    table.unlink()
    table = tmp_path / name
    table.write_text("\n \n" + text)
    assert describe_groups(open_isic2018(tmp_path)) == f"42 groups of 84 images, by lesion_id in {name}"
    table.write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        open_isic2018(tmp_path)
    table.unlink()
    table.symlink_to(tmp_path / "unmounted")
    with pytest.raises(DataError, match=rf"{name} is a symbolic link to .*unmounted, which is not there"):
        open_isic2018(tmp_path)


@pytest.mark.parametrize("missing", MISSING)
def test_an_image_whose_lesion_is_not_known_is_alone(tmp_path: Path, missing: str) -> None:
    """And not one of a group of all such images."""
    write_isic2018(tmp_path)
    table = tmp_path / "HAM10000_metadata.csv"
    header, *rows = table.read_text().splitlines()
    rows[:4] = [f"{missing}," + row.partition(",")[2] for row in rows[:4]]
    table.write_text("\n".join([header, *rows]))
    source = open_isic2018(tmp_path)
    groups = [*(source.train.groups or []), *(source.test.groups or [])]
    assert len(set(groups)) == 7 * 12 // 2 + 2
    said = "lesion_id in HAM10000_metadata.csv (4 images without one: each alone)"
    assert describe_groups(source) == f"44 groups of 84 images, by {said}"


def test_a_lesion_that_is_spelled_in_two_ways_is_one(tmp_path: Path) -> None:
    write_isic2018(tmp_path)
    before = open_isic2018(tmp_path)
    table = tmp_path / "HAM10000_metadata.csv"
    header, *rows = table.read_text().splitlines()
    rows[1::2] = [row.replace("HAM_", "ham_") for row in rows[1::2]]
    table.write_text("\n".join([header, *rows]))
    mixed = open_isic2018(tmp_path)
    assert (mixed.train.groups, mixed.test.groups) == (before.train.groups, before.test.groups)
    (tmp_path / "lesions.csv").write_text("image,lesion_id\nISIC_0000000,ham_0000000\n")
    assert describe_groups(open_isic2018(tmp_path)).endswith("by lesion_id in HAM10000_metadata.csv and lesions.csv")


def test_two_tables_that_agree_are_both_heeded_and_two_that_differ_are_refused(tmp_path: Path) -> None:
    write_isic2018(tmp_path)
    (tmp_path / "lesions.csv").write_text("image,lesion_id\nISIC_0000000,HAM_0000000\n")
    assert describe_groups(open_isic2018(tmp_path)).endswith("by lesion_id in HAM10000_metadata.csv and lesions.csv")
    (tmp_path / "lesions.csv").write_text("image,lesion_id\nISIC_0000000,HAM_0000001\n")
    with pytest.raises(
        DataError, match=r"lesions\.csv: ISIC_0000000 is of lesion_id 'HAM_0000001', but of 'HAM_0000000'"
    ):
        open_isic2018(tmp_path)


def test_lesions_of_official_parts_are_heeded(tmp_path: Path) -> None:
    """A table that tells of the test images, too: a lesion of theirs that is trained on is found."""
    write_isic2018(tmp_path, lesions=None, official=True)
    images = tmp_path / "ISIC2018_Task3_Test_Input"
    for path in sorted(images.iterdir()):
        path.rename(path.with_name(f"ISIC_9{path.name[6:]}"))
    truth = tmp_path / "ISIC2018_Task3_Test_GroundTruth" / "ISIC2018_Task3_Test_GroundTruth.csv"
    truth.write_text(truth.read_text().replace("ISIC_0", "ISIC_9"))
    train = [path.stem for path in sorted((tmp_path / "ISIC2018_Task3_Training_Input").iterdir())]
    test = [path.stem for path in sorted(images.iterdir())]
    rows = [f"{name},HAM_{index // 2}" for index, name in enumerate(train)]
    (tmp_path / "metadata.csv").write_text("\n".join(["isic_id,lesion_id", *rows]))
    source = open_isic2018(tmp_path)
    assert source.test.groups is None
    assert describe_groups(source).endswith(f"lesion_id in metadata.csv; in test {NO_GROUPS}")
    rows += [f"{name},{'HAM_0' if index == 0 else name}" for index, name in enumerate(test)]
    (tmp_path / "metadata.csv").write_text("\n".join(["isic_id,lesion_id", *rows]))
    source = open_isic2018(tmp_path)
    found = torn_groups(split_samples(source, val_fraction=0.1, num_train=None))
    assert found["HAM_0"]["test"] == [f"ISIC2018_Task3_Test_Input/{test[0]}.jpg"]


def rows_of_a_small_table(root: Path) -> Rows:
    write_isic2018(root)
    table = root / "HAM10000_metadata.csv"
    header, *lines = table.read_text().splitlines()
    table.unlink()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


@st.composite
def corrupted(draw: st.DrawFn, rows: Rows) -> tuple[str, set[str]]:
    """A table after some mishaps, and the images whose lesion it leaves out."""
    places = st.integers(0, len(rows) - 1)
    if draw(st.booleans(), label="shuffled"):
        rows = draw(st.permutations(rows))
    change = draw(
        st.sampled_from(
            [str, str.lower, str.upper, lambda name: f"{name}.jpg", lambda name: name.removeprefix("ISIC_")]
        )
    )
    renamed = draw(st.just(set(range(len(rows)))) | st.sets(places), label="renamed")
    blank = draw(st.sets(places, max_size=5), label="blank")
    left_out = {rows[number]["image_id"] for number in blank}
    rows = [
        row
        | ({"image_id": change(row["image_id"])} if number in renamed else {})
        | ({"lesion_id": draw(st.sampled_from(["", "NA", " "]))} if number in blank else {})
        for number, row in enumerate(rows)
    ]
    rows = rows[: draw(st.just(len(rows)) | places, label="rows kept")]
    columns = draw(st.permutations(["lesion_id", "image_id", "dx"]), label="columns")
    lines = [dict(zip(columns, columns, strict=True)), *rows]
    delimiter = draw(st.sampled_from(",;\t"))
    text = "".join(delimiter.join(line[column] for column in columns) + "\n" for line in lines)
    # A lesion that is cut in the last column of the last row cannot be told from a whole one.
    if columns[-1] != "lesion_id":
        text = text[: len(text) - draw(st.just(0) | st.integers(0, 200), label="characters cut")]
    return draw(st.sampled_from(["", "\ufeff"])) + text, left_out


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_corrupt_table_never_tears_a_lesion_in_silence(data: st.DataObject, tmp_path: Path) -> None:
    if not (tmp_path / "rows").exists():
        rows = rows_of_a_small_table(tmp_path / "set")
        (tmp_path / "rows").write_text(json.dumps(rows))
    rows = json.loads((tmp_path / "rows").read_text())
    text, left_out = data.draw(corrupted(rows))
    names = ["HAM10000_metadata.csv", "HAM10000_metadata.tab", "mine.txt", "HAM10000_metadata"]
    table = tmp_path / "set" / data.draw(st.sampled_from(names), label="file")
    table.write_text(text, encoding="utf-8")
    try:
        source = open_isic2018(tmp_path / "set")
    except DataError:
        event("refused")
        return
    finally:
        table.unlink()
    said = describe_groups(source)
    if said == NO_GROUPS:
        event("said that there are no groups")
        return
    event("read")
    assert (f"({len(left_out)} image" in said) == bool(left_out)
    assert not torn(source, [row for row in rows if row["image_id"] not in left_out])


def test_ham10000_is_read_from_two_folders_with_its_diagnoses(tmp_path: Path) -> None:
    write_ham10000(tmp_path, table="HAM10000_metadata")
    source = open_ham10000(tmp_path)
    assert source.class_names == ("mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")
    assert np.bincount(source.train.labels).tolist() == [10] * 7
    assert np.bincount(source.test.labels).tolist() == [2] * 7
    assert {name.partition("/")[0] for name in source.train.ids} == {"HAM10000_images_part_1", "HAM10000_images_part_2"}
    assert describe_groups(source) == "42 groups of 84 images, by lesion_id in HAM10000_metadata"
    # As Kaggle has it, twice.
    for part in (1, 2):
        folder = tmp_path / f"HAM10000_images_part_{part}"
        twin = tmp_path / folder.name.lower()
        twin.mkdir()
        for path in folder.iterdir():
            (twin / path.name).write_bytes(path.read_bytes())
    assert open_ham10000(tmp_path).train.ids == source.train.ids


def test_the_table_of_the_official_test_images_is_passed_over(tmp_path: Path) -> None:
    """Dataverse has it beside that of the training images."""
    write_ham10000(tmp_path, table="HAM10000_metadata.tab")
    other = "lesion_id\timage_id\tdx\nHAM_1\tISIC_9999999\tnv\n"
    (tmp_path / "ISIC2018_Task3_Test_GroundTruth.tab").write_text(other)
    assert describe_groups(open_ham10000(tmp_path)) == "42 groups of 84 images, by lesion_id in HAM10000_metadata.tab"


def test_what_is_wrong_with_ham10000_is_said(tmp_path: Path) -> None:
    write_ham10000(tmp_path)
    table = tmp_path / "HAM10000_metadata.csv"
    right = table.read_text()
    (tmp_path / "HAM10000_copy.csv").write_text(right)
    with pytest.raises(
        DataError, match=r"has HAM10000_copy\.csv and HAM10000_metadata\.csv, all with diagnoses and lesions"
    ):
        open_ham10000(tmp_path)
    (tmp_path / "HAM10000_copy.csv").unlink()
    table.write_text(right.replace(",df", ",wart", 1))
    with pytest.raises(DataError, match=r"ISIC_0000060 has the diagnosis 'wart'; known are mel, nv,"):
        open_ham10000(tmp_path)
    for content, words in {
        right.replace("lesion_id,", "lesion,", 1): "no column 'lesion_id': its columns are 'lesion',",
        right.replace("lesion_id,", "LesionID,", 1): "no column 'lesion_id': its columns are 'LesionID',",
        right.replace(",dx", ",diagnosis", 1): "no column 'dx': its columns are 'lesion_id', 'image_id', 'diagnosis'",
        right.replace(",", "|"): r"no column 'lesion_id' and no column 'dx': its columns are 'lesion_id\|",
        f"# downloaded\n{right}": r"no column 'lesion_id' and no column 'dx': its columns are '# downloaded'",
    }.items():
        table.write_text(content)
        with pytest.raises(DataError, match=rf"HAM10000_metadata\.csv has {words}.*\n.*Its first line names"):
            open_ham10000(tmp_path)
    table.unlink()
    with pytest.raises(DataError, match=r"HAM10000_metadata\.csv is missing"):
        open_ham10000(tmp_path)
    table.write_text(right)
    first = tmp_path / "HAM10000_images_part_1" / "ISIC_0000000.jpg"
    (tmp_path / "HAM10000_images_part_2" / "ISIC_0000000.jpg").write_bytes(first.read_bytes())
    with pytest.raises(DataError, match=r"part_1/ISIC_0000000\.jpg and .*part_2/ISIC_0000000\.jpg are the same image"):
        open_ham10000(tmp_path)
    first.unlink()
    (tmp_path / "HAM10000_images_part_2" / "ISIC_0000000.jpg").unlink()
    with pytest.raises(DataError, match=r"names ISIC_0000000, but .*part_1 and .*part_2 has no such image .1 of 84"):
        open_ham10000(tmp_path)


def test_the_lesions_come_out_of_the_cache_as_they_went_in(tmp_path: Path) -> None:
    write_ham10000(tmp_path / "ham10000")
    first, again = (load_dataset("ham10000", tmp_path, image_size=8) for _ in range(2))
    assert first.groups == again.groups == "42 groups of 84 images, by lesion_id in HAM10000_metadata.csv"
    assert first.test_groups is not None
    assert again.test_groups is not None
    assert first.test_groups.tolist() == again.test_groups.tolist()
    # Two images of each lesion, which no split tears apart.
    assert set(first.test_groups.bincount().tolist()) == {2}
