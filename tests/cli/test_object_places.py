"""Commands on experiments whose results or data sets lie in object storage, with a real S3 server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Call
from PIL import Image

from orchestrator.objects import Address, BucketObjects

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
DIGITS = "name: places\ndataset: digits\nmodel: convnet\naugment: erm\n"
PETS = (
    "name: places\ndataset: {image_folder: {folder: pets, image_size: 8}}\nmodel: convnet\naugment: erm\n"
    "train: {batch_size_per_worker: 4}\n"
)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    (tmp_path / "digits.yaml").write_text(DIGITS)
    return tmp_path / "digits.yaml"


@pytest.mark.parametrize("uri", [None, "sqlite:////tmp/none/mlflow.db"])
@pytest.mark.parametrize("command", ["run", "plan", "status", "doctor"])
def test_results_in_a_bucket_need_an_mlflow_server(command: str, uri: str | None, call: Call, digits: Path) -> None:
    """Said before anything is asked of the bucket."""
    options = ["-o", f"tracking.uri={uri}"] if uri else []
    answer = call(command, digits, "-o", "storage=s3://nobody-has-it/runs", *options)
    assert answer.code == 2
    assert "MLflow's SQLite file needs a disk" in answer.err
    assert "tracking.uri=http://HOST:PORT" in answer.err


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("command", ["run", "plan", "doctor"])
def test_a_bucket_that_is_not_there_is_said_before_anything_starts(command: str, call: Call, digits: Path) -> None:
    options = ["-o", "storage=s3://nobody-has-it/runs", "-o", "tracking.uri=http://127.0.0.1:9"]
    answer = call(command, digits, *options)
    assert answer.code == 2
    assert "storage = s3://nobody-has-it/runs: there is no bucket nobody-has-it" in answer.err
    assert "remedy" in answer.err
    assert "Traceback" not in answer.err


def test_a_plan_of_images_in_a_bucket_is_that_of_those_in_a_folder(call: Call, bucket: Address, tmp_path: Path) -> None:
    objects = BucketObjects(bucket, named="data_dir")
    (tmp_path / "pets.yaml").write_text(PETS)
    for label in ("cat", "dog"):
        (tmp_path / "data" / "pets" / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng([number, len(label), ord(label[0])]).integers(0, 256, (8, 8, 3), np.uint8)
            path = tmp_path / "data" / "pets" / label / f"{number}.png"
            Image.fromarray(pixels).save(path)
            objects.put(path.relative_to(tmp_path / "data").as_posix(), path)
    found = call("plan", tmp_path / "pets.yaml", "-o", f"data_dir={bucket}")
    expected = call("plan", tmp_path / "pets.yaml", "-o", f"data_dir={tmp_path / 'data'}")
    assert found.code == expected.code, found.err
    assert "splits:" in found.out
    assert found.out == expected.out


def test_a_data_set_that_is_not_in_the_bucket_is_named(call: Call, bucket: Address, tmp_path: Path) -> None:
    (tmp_path / "pets.yaml").write_text(PETS)
    answer = call("plan", tmp_path / "pets.yaml", "-o", f"data_dir={bucket}")
    assert answer.code == 2
    assert f"data_dir = {bucket}: there is no pets" in answer.err


def test_the_list_of_data_sets_fetches_none(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZETASWEEP_DATA", "s3://bucket/data")
    answer = call("data", "list")
    assert answer.code == 2
    assert "--data-dir" in answer.err
