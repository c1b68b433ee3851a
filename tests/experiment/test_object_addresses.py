"""Addresses of object storage in an experiment file: what stands behind ? counts, as all before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.experiment import load_experiment
from orchestrator.objects import Address

ENDPOINT = "http://127.0.0.1:9000"
WRITTEN = "s3://bucket/of it/50%25?endpoint_override=127.0.0.1:9000&scheme=http&region=eu-central-1"
MEANT = Address("s3", "bucket", "of it/50%", endpoint=ENDPOINT, region="eu-central-1")


@pytest.mark.parametrize("how", ["file", "override"])
def test_the_server_of_an_address_is_that_of_the_file(how: str, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    places = {"storage": WRITTEN, "data_dir": WRITTEN}
    content = {"name": "small", "dataset": "digits", "model": "convnet", "augment": "erm"}
    file.write_text(json.dumps(content | (places if how == "file" else {})))
    overrides = [f"{key}={place}" for key, place in places.items()] if how == "override" else []
    experiment = load_experiment(file, overrides)
    assert (experiment.storage, experiment.data_dir) == (MEANT, MEANT)
    assert Address.of(json.loads(experiment.model_dump_json())["storage"]) == MEANT, "MLflow keeps all of it"


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket",
        "s3://bucket/runs",
        "s3://bucket/runs?region=eu-central-1",
        "s3://bucket/a%23b/%3F?endpoint_override=https://minio:9000",
        "gs://bucket/of it",
        "abfs://runs@lab.dfs.core.windows.net/x",
    ],
)
def test_an_address_in_full_is_the_same_address(text: str) -> None:
    assert Address.of(text).in_full == text
