"""``zetasweep data``, on small image folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import Call
from PIL import Image

from orchestrator.data import DATASETS, Cache, decode_dataset, open_dataset, split_dataset, split_samples, without
from orchestrator.experiment import load_experiment
from orchestrator.plan.images import check_images

EXPERIMENT = """
name: mine
dataset: {{image_folder: {{folder: mine, {options}}}}}
model: convnet
augment: erm
data_dir: {data_dir}
cache: {{dir: {cache}}}
train: {{batch_size_per_worker: 8}}
"""


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures of which no two are alike: coarse noise, enlarged."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            folder = tmp_path / "data" / "mine" / split / name
            folder.mkdir(parents=True)
            for number in range(12):
                coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
                coarse.resize((48, 48), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return tmp_path / "data" / "mine"


def experiment(root: Path, options: str = "image_size: 32") -> Path:
    path = root.parents[1] / "mine.yaml"
    path.write_text(EXPERIMENT.format(options=options, data_dir=root.parent, cache=root.parents[1] / "cache"))
    return path


def test_prepare_decodes_once(root: Path, call: Call) -> None:
    first = call("data", "prepare", experiment(root))
    assert first.code == 0
    assert "decoded 48 images of image_folder" in first.out
    again = call("data", "prepare", experiment(root))
    assert again.code == 0
    assert "decoded 48" not in again.out
    assert "all images are decoded" in again.out
    embedded = call("data", "prepare", experiment(root), "-o", "dataset=digits")
    assert embedded.code == 0
    assert "nothing to decode" in embedded.out


def test_prepare_names_a_damaged_image(root: Path, call: Call) -> None:
    (root / "test" / "bee" / "3.png").write_bytes(b"not an image")
    answer = call("data", "prepare", experiment(root))
    assert answer.code == 2
    assert "test/bee/3.png cannot be read" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("inside", ["", "/below"])
def test_a_cache_that_is_no_folder_is_wrong_input(inside: str, root: Path, call: Call) -> None:
    file = experiment(root)
    for arguments in (
        ("plan", file, "-o", f"cache.dir={file}{inside}"),
        ("data", "prepare", file, "-o", f"cache.dir={file}{inside}"),
        ("data", "list", "--cache-dir", f"{file}{inside}"),
        ("data", "clear", "--cache-dir", f"{file}{inside}"),
    ):
        answer = call(*arguments)
        assert answer.code == 2
        said = f"error: cache.dir = {file}{inside}: {file} is not a folder.\n  remedy:  Set cache.dir"
        assert answer.err.startswith(said)


@pytest.mark.parametrize("inside", ["", "/below"])
@pytest.mark.parametrize("command", ["plan", "status", "compare", "sync"])
def test_a_storage_that_is_no_folder_is_wrong_input(command: str, inside: str, root: Path, call: Call) -> None:
    file = experiment(root)
    answer = call(command, file, "-o", f"storage={file}{inside}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error: storage = {file}{inside}: {file} is not a folder\n  remedy:")


def test_a_cache_whose_name_is_too_long_is_wrong_input(root: Path, call: Call) -> None:
    file, name = experiment(root), "x" * 300
    for arguments in (("plan", file, "-o", f"cache.dir={name}"), ("data", "list", "--cache-dir", name)):
        answer = call(*arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("error: cache.dir = ")


def test_plan_warns_of_correcting_an_imbalance_twice(root: Path, call: Call) -> None:
    both = ("-o", "train.class_weights=balanced", "-o", "train.sampling=balanced")
    answer = call("plan", experiment(root), *both)
    assert answer.code == 0
    assert answer.out.count("\nwarning:   train.class_weights and train.sampling correct the same imbalance twice") == 1
    by = ("-o", "train.best_by=balanced_accuracy")
    assert "warning" not in call("plan", experiment(root), *both[:2], *by).out
    assert "warning" not in call("plan", experiment(root), *both[2:], *by).out


@pytest.mark.parametrize("setting", ["class_weights", "sampling"])
def test_plan_warns_where_the_error_chooses_the_epoch_of_a_balanced_training(
    setting: str, root: Path, call: Call
) -> None:
    balanced = ("-o", f"train.{setting}=balanced")
    warning = f"\nwarning:   train.{setting} is for the rare classes, but the epoch to test is chosen by the error"
    for chosen in ((), ("-o", "train.best_by=error")):
        assert warning in call("plan", experiment(root), *balanced, *chosen).out
    assert "warning" not in call("plan", experiment(root), *balanced, "-o", "train.best_by=last").out
    assert "warning" not in call("plan", experiment(root)).out


def test_plan_counts_one_thing_as_one(root: Path, call: Call) -> None:
    out = call("plan", experiment(root), "-o", "train.epochs=1").out
    assert "1 epoch each" in out
    assert "1 worker x 1 CPU each" in out


def test_unknown_options_name_those_of_the_data_set(root: Path, call: Call) -> None:
    answer = call("plan", experiment(root), "-o", "dataset.image_folder.fodler=mine")
    assert answer.code == 2
    assert "one of the keys: folder, name, csv," in answer.err
    assert "Did you mean folder?" in answer.err
    answer = call("plan", experiment(root), "-o", "dataset.image_folder.file=mine")
    assert "Remove it: image_folder has the option folder." in answer.err


def test_plan_says_what_the_cache_takes(root: Path, call: Call) -> None:
    assert "147.5 kB of decoded images more" in call("plan", experiment(root)).out.replace("\n", " ")
    call("data", "prepare", experiment(root))
    assert "decoded images more" not in call("plan", experiment(root)).out.replace("\n", " ")


def test_check_of_a_clean_set(root: Path, call: Call) -> None:
    answer = call("data", "check", experiment(root))
    assert answer.code == 0, answer.out


def test_check_finds_what_leaks(root: Path, call: Call) -> None:
    shutil.copy(root / "train" / "ant" / "5.png", root / "test" / "ant" / "copy.png")
    with Image.open(root / "train" / "bee" / "7.png") as image:
        image.save(root / "test" / "bee" / "again.jpg", quality=90)
    (root / "train" / "bee" / "1.png").write_bytes(b"not an image")
    answer = call("data", "check", experiment(root))
    assert answer.code == 1
    for name in ("train/ant/5.png", "test/ant/copy.png", "train/bee/7.png", "test/bee/again.jpg", "train/bee/1.png"):
        assert name in answer.out
    assert "Traceback" not in answer.out + answer.err


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("size", ["image_size: 32", "image_size: null"])
@pytest.mark.parametrize("split", ["folds: 3", "num_train: 12", "val_fraction: 0.3"])
def test_check_looks_at_the_splits_that_are_trained_on(
    root: Path, call: Call, split: str, size: str, prepared: bool
) -> None:
    """Where files are left out, what is left is split otherwise."""
    for name in ("train/ant/0.png", "train/bee/3.png", "test/ant/4.png"):
        (root / name).write_bytes(b"not an image")
    path = experiment(root, f"{size}, on_unreadable: skip, {split}")
    spec = next(iter(load_experiment(path).dataset))
    if prepared:
        assert call("data", "prepare", path).code == 0
    report = check_images(spec, load_experiment(path), on_progress=lambda *_: None)
    cache = Cache(root.parents[1] / "elsewhere")
    decoded = decode_dataset(spec.name, root.parent, cache=cache, **spec.decode_options())
    dataset = split_dataset(spec.name, decoded, **spec.split_options())
    trained = {part: getattr(dataset, part).labels.bincount().tolist() for part in ("train", "val", "test")}
    assert {part: list(counts) for part, counts in report.counts.items()} == trained
    seen = {part: {place.id for place in report.table.places if place.split == part} for part in trained}
    assert sum(map(len, seen.values())) == sum(map(sum, trained.values()))
    source = open_dataset(spec.name, root.parent, **spec.open_options())
    left = without(source, dataset.unreadable)
    parts = split_samples(left, **spec.split_options())
    assert seen == {part: {samples.ids[row] for row in rows} for part, (samples, rows) in parts.items()}
    assert len(report.unreadable) == len(dataset.unreadable) == 3
    assert not report.ok


def test_check_lists_labels_without_images(tmp_path: Path, call: Call) -> None:
    from data.lesion_sets import write_isic2017

    write_isic2017(tmp_path / "data" / "isic2017")
    images = sorted((tmp_path / "data" / "isic2017" / "ISIC-2017_Training_Data").glob("*.jpg"))
    for path in images[:3]:
        path.unlink()
    path = tmp_path / "lesions.yaml"
    path.write_text(f"name: l\ndataset: isic2017\nmodel: convnet\naugment: erm\ndata_dir: {tmp_path / 'data'}\n")
    answer = call("data", "check", path)
    assert answer.code == 1
    assert all(image.stem in answer.out for image in images[:3])


def test_list_says_where_what_is_expected(root: Path, call: Call) -> None:
    call("data", "prepare", experiment(root))
    cache = root.parents[1] / "cache"
    answer = call("data", "list", "--data-dir", root.parent, "--cache-dir", cache)
    assert answer.code == 0
    lines = answer.out.splitlines()
    for name, info in DATASETS.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert line.rstrip().endswith(info.description), "each data set takes one line"
        assert len(line) <= 100
    assert "embedded" in answer.out
    assert "your own" in answer.out
    assert " kB  your own images" in answer.out, "the size of what is decoded"
    assert f"{root.parent}/NAME" in answer.out
    assert str(cache) in answer.out


def test_list_says_what_is_damaged(root: Path, call: Call) -> None:
    (root.parent / "isic2016").mkdir()
    answer = call("data", "list", "--data-dir", root.parent, "--cache-dir", root.parents[1] / "cache")
    missing = root.parent / "isic2016" / "ISBI2016_ISIC_Part3_Training_Data"
    assert f"isic2016: isic2016: {missing} is missing" in answer.out


def test_clear_removes_what_was_decoded(root: Path, call: Call) -> None:
    call("data", "prepare", experiment(root))
    cache = root.parents[1] / "cache"
    assert "removed 0" in call("data", "clear", "--dataset", "cifar10", "--cache-dir", cache).out
    assert "removed 1" in call("data", "clear", "--cache-dir", cache).out
    assert "decoded 48" in call("data", "prepare", experiment(root)).out


def test_without_options_list_and_clear_look_where_experiments_do(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZETASWEEP_CACHE", "~/decoded")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert "from /home/somebody/decoded" in call("data", "clear").out
    assert "decoded images: /home/somebody/decoded" in call("data", "list").out
    monkeypatch.setenv("ZETASWEEP_DATA", "s3://KEY:SECRET@bucket")
    answer = call("data", "list")
    assert answer.code == 2
    assert "environment: ZETASWEEP_DATA = s3://***@bucket" in answer.err


def test_a_path_is_shown_as_it_is(root: Path, call: Call) -> None:
    cache = root.parents[1] / "[old] cache"
    answer = call("data", "prepare", experiment(root), "-o", f"cache.dir={cache}")
    assert answer.code == 0
    assert f"all images are decoded, in {cache}" in answer.out
