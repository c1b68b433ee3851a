"""What a node is asked where results or data sets lie in object storage."""

from __future__ import annotations

from dataclasses import asdict, replace
from os import environ
from pathlib import Path
from typing import Any

import pytest
from s3_server import proxy_before
from small_sets import write_image_folder

from orchestrator.experiment import load_experiment
from orchestrator.objects import Address, BucketObjects
from orchestrator.plan import Node
from orchestrator.storage import marked
from orchestrator.sweep import node_look
from orchestrator.sweep.node_look import look
from orchestrator.sweep.proof import Answer, Proof

NODE = Node(cpus=8, gpus=0, id="abc", name="node two (10.77.0.2)")
PETS = (
    "name: pets\ndataset: {image_folder: {folder: pets, image_size: 12}}\nmodel: convnet\naugment: erm\n"
    "tracking: {uri: 'http://127.0.0.1:9'}\n"
)


def asked(proof: Proof, **other: Any) -> Answer:
    return Answer(**look({**asdict(proof.asked), **other}))


def test_a_node_reads_and_writes_what_the_driver_sees(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_look, "PATIENCE_S", 0.0)
    data, results = bucket.below("data"), bucket.below("runs")
    objects = BucketObjects(data, named="data_dir")
    for path in write_image_folder(tmp_path / "pets").rglob("*.png"):
        objects.put(path.relative_to(tmp_path).as_posix(), path)
    (tmp_path / "pets.yaml").write_text(PETS)
    places = (f"storage={results}", f"data_dir={data}", f"cache.dir={tmp_path / 'cache'}")
    experiment = load_experiment(tmp_path / "pets.yaml", places)
    with marked(experiment.kept_in) as marker:
        proof = Proof.of(experiment, marker)
        assert marker.below is not None
        assert list(proof.faults(asked(proof), NODE)) == []
        # What is fetched needs room, and is not looked for on a node's disk.
        assert proof.asked.readable == ()
        fetched = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.png"))
        assert fetched in proof.asked.decoded.values()
        elsewhere = str(tmp_path / "of another node")
        assert asked(proof, cache_dir=elsewhere).cache["lacking"] == sum(proof.asked.decoded.values())

        other = replace(proof, asked=replace(proof.asked, bucket={**proof.asked.bucket, "folder": "other/runs"}))
        (fault,) = other.faults(asked(other), NODE)
        assert fault.what == "a node that does not see storage"
        assert "is another place than the driver's" in fault.where
        assert "zetasweep[objects]" in fault.remedy
        assert not fault.may_pass

        lost = replace(proof, asked=replace(proof.asked, data_bucket={**proof.asked.data_bucket, "bucket": "no-such"}))
        (fault,) = lost.faults(asked(lost), NODE)
        assert fault.what == "a node that cannot read a data set"
        assert "s3://no-such: " in fault.where
    assert BucketObjects(results, named="storage").list() == []


def test_a_bucket_that_is_silent_for_a_moment_refuses_no_node_for_good(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_look, "PATIENCE_S", 0.0)
    write_image_folder(tmp_path / "pets")
    (tmp_path / "pets.yaml").write_text(PETS)
    places = (f"storage={bucket}", f"data_dir={tmp_path}", f"cache.dir={tmp_path / 'cache'}")
    experiment = load_experiment(tmp_path / "pets.yaml", places)
    with marked(experiment.kept_in) as marker:
        proof = Proof.of(experiment, marker)
        proof = replace(proof, asked=replace(proof.asked, data_bucket={**proof.asked.bucket}))
        with proxy_before(environ["AWS_ENDPOINT_URL"]) as proxy:
            proxy.share = 1.0
            silent = replace(Address(**proof.asked.bucket), endpoint=proxy.url)
            away = replace(proof.asked, bucket=asdict(silent), data_bucket=asdict(silent))
            faults = list(proof.faults(Answer(**look(asdict(away))), NODE))
            assert [fault.what for fault in faults] == [
                "a node that does not see storage",
                "a node that cannot read a data set",
            ]
            assert all(fault.may_pass and "asks it again" in fault.remedy for fault in faults)
            proxy.share = 0.0
            assert list(proof.faults(Answer(**look(asdict(away))), NODE)) == []
