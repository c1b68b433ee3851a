"""Artifacts beside results in a bucket, where a database has MLflow's runs: on the same server, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from s3_server import BUCKET

from orchestrator.errors import UserError
from orchestrator.experiment import Experiment
from orchestrator.objects import Address, BucketObjects
from orchestrator.opened import Opened
from orchestrator.opened.tracked import _in_storage
from orchestrator.tracking.artifacts import new_location
from orchestrator.tracking.tracker import Tracker

pytest.importorskip("obstore", reason="obstore is not installed: pip install zetasweep[objects]")
pytest.importorskip("boto3", reason="boto3 is not installed, by which MLflow writes to a bucket")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")


@pytest.fixture
def place(bucket: Address, s3: str, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A place on a server that the address alone names."""
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    return Address.of(f"s3://{BUCKET}/{bucket.folder}?endpoint_override={s3.partition('//')[2]}&scheme=http")


def opened(tmp_path: Path, *overrides: str) -> Opened:
    path = tmp_path / "small.yaml"
    path.write_text("{name: small, dataset: digits, model: convnet, augment: erm}")
    # Nobody is asked: a server whose artifacts go where a database's do.
    return Opened(str(path), [*overrides, "tracking.uri=postgresql://db/mlflow"])


@pytest.mark.parametrize("named_in", ENDPOINTS)
def test_they_go_to_the_server_of_the_address_where_mlflow_knows_it(
    place: Address, uri: str, experiment: Experiment, s3: str, named_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(named_in, f"{s3}/")
    tracker = Tracker(uri, artifacts=place.below("artifacts"))
    tracker.sweep.open(experiment, {})
    tracker.sweep.close(complete=True)
    found = {each.name.rpartition("/")[2] for each in BucketObjects(place, named="storage").list("artifacts/sample")}
    assert found == {"environment.json", "experiment.json"}


@pytest.mark.parametrize("other", ["", "http://127.0.0.1:9"], ids=["Amazon's", "another"])
def test_another_server_than_that_of_the_address_is_refused(
    place: Address, uri: str, experiment: Experiment, s3: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", other)
    if not other:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
    tracker = Tracker(uri, artifacts=place.below("artifacts"))
    with pytest.raises(UserError) as refused:
        tracker.sweep.open(experiment, {})
    asked = f"{other} for that bucket (MLFLOW_S3_ENDPOINT_URL)" if other else "Amazon for that bucket"
    assert str(refused.value).startswith(
        f"storage: MLflow's artifacts would lie in {place}/artifacts/sample, and MLflow asks {asked}, not {s3}\n"
    )
    assert refused.value.remedy.startswith(f"set MLFLOW_S3_ENDPOINT_URL={s3}; also where")
    assert tracker.store.client.get_experiment_by_name("sample") is None


def test_amazons_bucket_is_not_looked_for_elsewhere(
    uri: str, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="not Amazon") as refused:
        Tracker(uri, artifacts=Address.of("s3://bucket/runs")).sweep.open(experiment, {})
    assert refused.value.remedy.startswith("unset MLFLOW_S3_ENDPOINT_URL")


def test_what_storage_names_is_what_mlflow_is_told(place: Address, tmp_path: Path) -> None:
    assert _in_storage(opened(tmp_path, f"storage={place.in_full}")) == place.as_here().below("artifacts")
    azure = Address.of("abfs://runs@lab.dfs.core.windows.net/of it")
    assert new_location(azure, "small") == "abfss://runs@lab.dfs.core.windows.net/of it/small"
    assert _in_storage(opened(tmp_path, f"storage={tmp_path / 'runs'}")) == tmp_path / "runs" / "artifacts"
