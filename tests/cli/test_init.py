"""``zetasweep init``: an experiment for what lies there, which ``plan`` takes; and the examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, Call
from numpy.typing import NDArray
from PIL import Image

from orchestrator.experiment import load_experiment
from orchestrator.guide import example_names
from orchestrator.guide.advice import Images, advise

RNG = np.random.default_rng(0)


def write_image(path: Path, *, size: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size, size + 8, 3), dtype=np.uint8)).save(path)


def classes(folder: Path, *, few: int = 12, many: int = 30) -> None:
    for name, count in (("nevus", many), ("melanoma", few)):
        for number in range(count):
            write_image(folder / name / f"{name}-{number}.png")


def splits(folder: Path) -> None:
    for name in ("training", "valid", "Test"):
        classes(folder / name, few=4, many=5)


def table(folder: Path) -> None:
    rows = ["file,dx,patient_id,set"]
    for split, count in (("train", 12), ("validation", 4), ("test", 4)):
        for number in range(count):
            write_image(folder / "images" / f"{split}-{number}.jpg", size=130)
            rows.append(f"{split}-{number}.jpg,{'a' if number // 2 % 2 else 'b'},{split}{number // 2},{split}")
    (folder / "labels.csv").write_text("\n".join(rows))


def archive(path: Path) -> None:
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, count in (("train", 40), ("val", 10), ("test", 10)):
        arrays[f"{split}_images"] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "path", "expected"),
    [
        (classes, "my moles!", ["image_folder:", 'folder: "my moles!"', "image_size: 32", "class_weights: balanced"]),
        (splits, "moles", ["splits: {", "train: training", "val: valid", "test: Test", "convnet"]),
        (table, "moles", ["csv: labels.csv", "splits: {val: validation}", "groups: patient_id", "shufflenet"]),
        (archive, "bloodmnist.npz", ["medmnist_npz:", "file: bloodmnist.npz", "all are 28 x 28 px", "hflip: false"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_written_for_a_folder_is_what_plan_takes(
    call: Call, tmp_path: Path, write: Callable[[Path], None], path: str, expected: list[str]
) -> None:
    write(tmp_path / "data" / path)
    answer = call("init", f"data/{path}", "--output", "new.yaml")
    assert answer.code == 0, answer.err
    assert "written: new.yaml; look at it, then: zetasweep plan new.yaml" in answer.err
    text = (tmp_path / "new.yaml").read_text()
    for part in expected:
        assert part in text, text
    planned = call("plan", "new.yaml")
    assert planned.code == 0, planned.err
    assert "warning" not in planned.out
    assert max(map(len, text.splitlines())) < 160


def test_a_file_that_is_there_stays(call: Call, tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("mine")
    answer = call("init", "--example", "quickstart")
    assert (answer.code, (tmp_path / "quickstart.yaml").read_text()) == (2, "mine")
    assert "replace it with --force" in answer.err
    assert call("init", "--example", "quickstart", "--force").code == 0
    assert "zetasweep run quickstart.yaml " in (tmp_path / "quickstart.yaml").read_text()


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_the_shipped_experiment(call: Call, tmp_path: Path, name: str) -> None:
    assert call("init", "--example", name).code == 0
    shipped = load_experiment(ROOT / "experiments" / f"{name}.yaml")
    assert load_experiment(tmp_path / f"{name}.yaml").model_dump(exclude={"file"}) == shipped.model_dump(
        exclude={"file"}
    )
    assert "schema" not in (tmp_path / f"{name}.yaml").read_text()


def test_examples_are_those_of_the_repository() -> None:
    assert example_names() == sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "neither FOLDER nor --example"),
        (["here", "--example", "quickstart"], "FOLDER and --example at once"),
        (["--example", "quickstrat"], "write --example quickstart"),
        (["nowhere"], "nowhere is not there"),
        (["empty"], "holds 0 class folders"),
        (["several"], "holds the data sets cifar10, mnist"),
        (["renamed"], "ln -s"),
        (["new.txt"], "Name the folder that holds the images"),
        (["tables"], "may both be the table"),
        (["both"], "holds the archive mine.npz and images in 2 folders (cat, dog)"),
    ],
)
def test_what_cannot_be_written_is_said(call: Call, tmp_path: Path, arguments: list[str], said: str) -> None:
    for folder in ("empty", "several/mnist", "several/cifar10", "renamed/flowers-102", "here/a"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("jpg", "imagelabels.mat", "setid.mat"):
        (tmp_path / "renamed" / "flowers-102" / name).touch()
    (tmp_path / "new.txt").touch()
    for name in ("cat/1.png", "dog/2.png"):
        write_image(tmp_path / "both" / name)
    (tmp_path / "both" / "mine.npz").touch()
    write_image(tmp_path / "tables" / "1.png")
    for name in ("one", "two"):
        (tmp_path / "tables" / f"{name}.csv").write_text("image,label\n1.png,a\n")
    answer = call("init", *arguments)
    assert answer.code == 2, answer.out
    assert said in answer.err
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("num_train", [9, 500, 5_000, 1_000_000])
@pytest.mark.parametrize("side", [0, 28, 32, 100, 500])
def test_advice_is_within_bounds(num_train: int, side: int, on_gpu: bool) -> None:
    images = Images(num_train, {"a": num_train, "b": 1}, [side] if side else [], all_alike=side == 28)
    advice = advise(images, on_gpu=on_gpu)
    assert 8 <= advice.batch_size <= 128
    assert advice.batch_size <= max(num_train, 8)
    assert 5 <= advice.epochs <= 200
    assert advice.image_size is None or 32 <= advice.image_size <= 224
    assert advice.cache_size is None or advice.image_size is None or advice.cache_size >= advice.image_size
    assert advice.is_uneven
