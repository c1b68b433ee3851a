"""Who only looks makes nothing, wherever that is; and `plan` says beforehand what `run` would refuse."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copyfile

import pytest
from commands import Answer, Call
from mlflow import MlflowClient
from PIL import Image

from orchestrator.storage import Storage

EXPERIMENT = """
name: looked-at
dataset: digits
model: convnet
augment: erm
train: {epochs: 1, batch_size_per_worker: 32}
"""
LOOKING = {
    "plan": 0,
    "status": 1,
    "compare": 1,
    "select": 1,
    "doctor": 0,
    "sync": 0,
    "data check": 0,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "looked-at.yaml"
    path.write_text(EXPERIMENT)
    return path


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def make_images(folder: Path) -> None:
    """Two classes, with what training, validation and test need; no two images alike."""
    for part, count in (("train", 80), ("test", 8)):
        for number in range(count):
            path = folder / part / f"class-{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, len(part), 7)).save(path)


@pytest.mark.parametrize("store", ["in storage", "elsewhere"])
@pytest.mark.parametrize("command", LOOKING)
def test_nothing_is_made_where_nothing_is(call: Call, file: Path, tmp_path: Path, command: str, store: str) -> None:
    options = ["-o", f"cache.dir={tmp_path / 'cache'}"]
    if store == "elsewhere":
        options += ["-o", f"tracking.uri=sqlite:///{tmp_path / 'absent.db'}"]
    answer = call(*command.split(), file, *options)
    assert answer.code == LOOKING[command], answer.out + answer.err
    assert below(tmp_path) == [file.name]


def test_sync_says_that_there_is_nothing(call: Call, file: Path, tmp_path: Path) -> None:
    assert (
        f"nothing waits to be delivered: there are no results of these cells in {tmp_path / 'runs'}"
        in call("sync", file).out
    )


@pytest.mark.parametrize("command", LOOKING)
def test_nothing_is_made_in_a_storage_of_other_cells(call: Call, file: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "runs" / "cells" / ("0" * 16)).mkdir(parents=True)
    before = below(tmp_path)
    call(*command.split(), file)
    assert below(tmp_path) == before


def refused(answer: Answer) -> str:
    """The words of a refusal, without a remedy for this command alone."""
    assert answer.code == 2, answer.out + answer.err
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.out + answer.err
    # What is free changes from one call to the next.
    return re.sub(r"[\d.]+ .?B are free", "some are free", answer.err)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["storage=/proc/x"], "storage = /proc/x: not writable ("),
        (["storage=/proc/version/x"], "storage = /proc/version/x: "),
        (["tracking.uri=sqlite:////proc/x.db"], "tracking.uri = sqlite:////proc/x.db: /proc cannot be written to ("),
        (["tracking.uri=sqlite:////absent/x.db"], "/absent is no folder"),
        (["dataset={image_folder: {folder: images}}", "cache.dir=/proc/x"], "cache.dir = /proc/x: not writable ("),
        (
            ["dataset={digits: {image_size: 8192}}"],
            "looked-at.yaml: dataset = digits(image_size=8192): its images take",
        ),
        (["dataset={digits: {num_train: 40}}"], "looked-at.yaml: dataset = digits(num_train=40): the training split"),
        (["dataset={image_folder: {folder: absent}}"], "looked-at.yaml: dataset = image_folder(folder=absent): "),
        (["dataset=[digits, {cifar10: {}}]"], "looked-at.yaml: dataset = cifar10: "),
        (["resources.workers=400", "train.batch_size_per_worker=2"], "resources: 1 slot x 400 workers"),
        (["model=vit_b_16"], "model = vit_b_16"),
    ],
)
def test_plan_refuses_what_run_would(call: Call, file: Path, tmp_path: Path, options: list[str], expected: str) -> None:
    make_images(tmp_path / "images")
    words = [word for option in ("data_dir=.", *options) for word in ("-o", option)]
    before = below(tmp_path)
    planned = refused(call("plan", file, *words))
    assert below(tmp_path) == before
    assert expected in planned
    assert refused(call("run", file, *words)) == planned


def test_an_experiment_that_was_deleted_in_mlflow_is_refused(
    call: Call, file: Path, tmp_path: Path, new_store: Path
) -> None:
    (tmp_path / "runs").mkdir()
    copyfile(new_store, database := tmp_path / "runs" / "mlflow.db")
    client = MlflowClient(f"sqlite:///{database}")
    client.delete_experiment(client.create_experiment("looked-at", artifact_location=tmp_path.as_uri()))
    planned = refused(call("plan", file))
    assert "tracking.experiment = looked-at: it was deleted in MLflow" in planned
    assert refused(call("run", file)).splitlines()[-1] == planned.splitlines()[-1]


def test_plan_says_that_a_sweep_is_at_work(call: Call, file: Path, tmp_path: Path) -> None:
    storage = Storage(tmp_path / "runs")
    storage.prepare()
    with storage.locked("other"):
        answer = call("plan", file)
        assert answer.code == 0, "it will have ended by then"
        assert f"warning:   run is refused while {storage.root} is in use by the sweep other, process " in answer.out
    assert "is in use" not in call("plan", file).out


def test_all_that_run_would_refuse_is_said_at_once(call: Call, file: Path) -> None:
    planned = refused(call("plan", file, "-o", "storage=/proc/x", "-o", "dataset=cifar10"))
    assert "storage = /proc/x: not writable" in planned
    assert "dataset = cifar10: " in planned


def test_data_check_and_prepare_name_the_file_and_the_entry(call: Call, file: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "images")
    (tmp_path / "images" / "train" / "class-0" / "0.png").write_bytes(b"no image")
    words = ["-o", "data_dir=.", "-o", "dataset=[digits, {image_folder: {folder: images}}, cifar10]"]
    place = f"{file}: dataset = cifar10: "
    assert f"error: {place}" in call("data", "check", file, *words).out
    assert refused(call("data", "prepare", file, *words[:3], "dataset=cifar10")).startswith("error: ")
    assert f"{file}: dataset = cifar10: " in call("data", "prepare", file, *words[:3], "dataset=cifar10").err
    damaged = call("data", "prepare", file, *words[:3], "dataset={image_folder: {folder: images}}")
    assert f"{file}: dataset = image_folder(folder=images): " in damaged.err
