"""What is wrong with a node, asked of this machine as of another, and told in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT
from small_sets import write_image_folder
from surroundings import unprivileged

from orchestrator.experiment import Resources
from orchestrator.experiment.load import load_experiment
from orchestrator.plan import Node
from orchestrator.storage import Storage, marked
from orchestrator.sweep import node_look
from orchestrator.sweep.node_look import look
from orchestrator.sweep.probe import refusal
from orchestrator.sweep.proof import Answer, Fault, Proof, Silence

NODE = Node(cpus=8, gpus=2, id="abc", name="node two (10.77.0.2)")
ONE = "name: one\ndataset: digits\nmodel: convnet\naugment: [erm]\n"


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proof]:
    monkeypatch.setattr(node_look, "PATIENCE_S", 0.0)
    (tmp_path / "one.yaml").write_text(ONE)
    storage = Storage(tmp_path / "runs")
    storage.prepare()
    experiment = load_experiment(tmp_path / "one.yaml", (f"storage={storage.root}",))
    with marked(storage) as marker:
        yield Proof.of(experiment, marker)


def asked(proof: Proof, **other: Any) -> Answer:
    return Answer(**look({**asdict(proof.asked), **other}))


def only_fault(proof: Proof, answer: Answer | Silence, node: Node = NODE) -> Fault:
    (fault,) = proof.faults(answer, node)
    return fault


def with_gpus(proof: Proof, **resources: Any) -> Proof:
    return replace(
        proof,
        asked=replace(proof.asked, asks_gpus=True),
        resources=Resources.model_validate({"gpus_per_worker": 1, **resources}),
    )


def test_the_machine_itself_can_train(proof: Proof) -> None:
    assert list(proof.faults(asked(proof), NODE)) == []


def test_a_folder_of_results_that_is_another_one(proof: Proof, tmp_path: Path) -> None:
    other = tmp_path / "other" / "runs"
    for made, said in ((False, "is not there"), (True, "is another folder than the driver's")):
        if made:
            other.mkdir(parents=True)
        fault = only_fault(proof, asked(proof, marker=str(other / "ray-12345678" / "marker")))
        assert fault.where.startswith(f"{other} {said}")
        assert "-o storage=PATH" in fault.remedy


def test_a_marker_of_another_driver_is_another_folder(proof: Proof) -> None:
    assert "is another folder than the driver's" in only_fault(proof, asked(proof, text="something else")).where


def test_a_folder_of_results_that_can_be_read_alone(proof: Proof) -> None:
    question = asdict(proof.asked)
    folder = Path(question["marker"]).parent
    folder.chmod(0o500)
    try:
        code = f"from orchestrator.sweep.node_look import look; print(look({question!r})['storage'])"
        answer = subprocess.run(
            [*unprivileged(), sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        folder.chmod(0o700)
    assert answer.stdout == f"{folder.parent} cannot be written to (Permission denied)\n"


def test_images_that_cannot_be_read_there(proof: Proof, tmp_path: Path) -> None:
    assert asked(proof, readable=(str(tmp_path), str(tmp_path / "one.yaml"))).unreadable == {}
    fault = only_fault(proof, asked(proof, readable=(str(tmp_path), str(tmp_path / "isic"))))
    assert fault.where == f"{tmp_path / 'isic'}: No such file or directory"
    assert "-o data_dir=PATH" in fault.remedy


def test_no_room_for_decoded_images(proof: Proof, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    much = {"cache_dir": str(cache), "decoded": {"isic-64px-0": 10**18}}
    fault = only_fault(proof, asked(proof, **much))
    assert "are free, decoded images take 1" in fault.where
    (cache / "isic-64px-0").mkdir(parents=True)
    assert list(proof.faults(asked(proof, **much), NODE)) == []


def test_other_versions_and_other_code(proof: Proof) -> None:
    here = asked(proof)
    others = replace(here, versions={**here.versions, "torch": "2.1.0", "Python": "3.9.1", "numpy": "missing"})
    fault = only_fault(proof, others)
    assert f"torch 2.1.0 (here {here.versions['torch']})" in fault.where
    assert "Python 3.9.1 (here 3." in fault.where
    assert "numpy missing" in fault.where
    fault = only_fault(proof, replace(here, code="0123456789ab"))
    assert fault.where == f"zetasweep in {ROOT} is 0123456789ab (here {here.code})"


def test_versions_that_compute_the_same_are_no_fault(proof: Proof) -> None:
    here = asked(proof)
    major, minor, _ = here.versions["Python"].split(".")
    torch = here.versions["torch"].partition("+")[0]
    same = {**here.versions, "Python": f"{major}.{minor}.99", "torch": f"{torch}+cu130"}
    assert list(proof.faults(replace(here, versions=same), NODE)) == []


def test_code_is_the_same_where_all_modules_are(tmp_path: Path) -> None:
    folders = {"augment": str(tmp_path)}
    (tmp_path / "augment").mkdir()
    module = tmp_path / "augment" / "one.py"
    module.write_text("1")
    first = node_look._hash_of(folders)
    (tmp_path / "augment" / "notes.txt").write_text("1")
    assert node_look._hash_of(folders) == first
    module.write_text("2")
    assert node_look._hash_of(folders) != first


def test_a_node_without_zetasweep(proof: Proof) -> None:
    fault = only_fault(proof, asked(proof, packages=("augment", "no_such_package")))
    assert (fault.what, fault.where) == ("a node that has no zetasweep", "there is no no_such_package")


def test_a_node_that_cannot_use_a_plugin(proof: Proof) -> None:
    said = "plug-in mynets: /there/mynets.py on b is 3fa2, and the driver has 9c1e"
    assert only_fault(proof, replace(asked(proof), own_code=said)).where == said


def test_gpus_that_torch_does_not_see(proof: Proof) -> None:
    on_gpus = with_gpus(proof)
    fault = only_fault(on_gpus, replace(asked(proof), gpus=0, gpu_trouble="torch 2.15.0 is built for the CPU, ..."))
    assert fault.where == "Ray offers 2 GPUs, torch sees 0: torch 2.15.0 is built for the CPU, ..."
    assert "CUDA_VISIBLE_DEVICES" in fault.remedy
    assert list(on_gpus.faults(replace(asked(proof), gpus=2), NODE)) == []
    # A head that has none is no matter.
    assert list(on_gpus.faults(asked(proof), replace(NODE, gpus=0))) == []
    assert list(proof.faults(asked(proof), NODE)) == []


@pytest.mark.parametrize(
    ("free_mb", "is_fault", "is_said"),
    [(10, True, True), (64, False, True), (4000, False, False), (None, False, False)],
)
def test_shared_memory_for_nccl(proof: Proof, free_mb: int | None, is_fault: bool, is_said: bool) -> None:
    free = -1 if free_mb is None else free_mb * 2**20
    answer = replace(asked(proof), gpus=2, nccl="2.27.5", shared_memory=free)
    found = list(with_gpus(proof, workers=2).faults(answer, NODE))
    assert [fault.is_note for fault in found] == ([not is_fault] if is_said else [])
    assert list(with_gpus(proof).faults(answer, NODE)) == []


def test_torch_without_nccl(proof: Proof) -> None:
    answer = replace(asked(proof), gpus=2, shared_memory=2**33)
    assert only_fault(with_gpus(proof, workers=2), answer).what == "a node whose torch has no NCCL"
    assert list(with_gpus(proof).faults(answer, NODE)) == []


def test_what_is_asked_of_gpus_is_answered(proof: Proof) -> None:
    import torch

    answer = asked(proof, asks_gpus=True)
    assert answer.gpus == torch.cuda.device_count()
    assert torch.__version__ in answer.gpu_trouble


def test_a_node_is_named_with_all_that_is_wrong(proof: Proof) -> None:
    faults = list(proof.faults(replace(asked(proof), storage="/x is not there", code="0123"), NODE))
    assert refusal(NODE, faults).startswith("node two (10.77.0.2) trains nothing: zetasweep in ")
    assert refusal(NODE, faults).endswith("; /x is not there")
    silent = list(proof.faults(Silence("no answer within 60 s"), NODE))
    assert refusal(NODE, silent) == "node two (10.77.0.2) trains nothing: no answer within 60 s"


@pytest.mark.parametrize("made", [True, False])
def test_a_marker_of_a_plan_leaves_nothing(tmp_path: Path, made: bool) -> None:
    storage = Storage(tmp_path / "runs")
    if made:
        storage.prepare()
    with marked(storage) as marker:
        path = Path(marker.name)
        assert path.read_text() == marker.text
        assert path.is_relative_to(storage.root if made else tmp_path)
    assert [*tmp_path.iterdir()] == ([storage.root] if made else [])
    assert not made or not [*storage.root.iterdir()]


def test_images_in_a_folder_are_looked_for_on_the_node(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "data" / "pets")
    (tmp_path / "pets.yaml").write_text(ONE.replace("digits", "{image_folder: {folder: pets, image_size: 12}}"))
    places = (f"storage={tmp_path / 'runs'}", f"data_dir={tmp_path / 'data'}", f"cache.dir={tmp_path / 'cache'}")
    with marked(Storage(tmp_path / "runs")) as marker:
        proof = Proof.of(load_experiment(tmp_path / "pets.yaml", places), marker)
        assert asked(proof).cache["lacking"] == 40 * 12 * 12 * 3
        assert list(proof.faults(asked(proof), NODE)) == []
        shutil.rmtree(tmp_path / "data")
        fault = only_fault(proof, asked(proof))
    assert fault.what == "a node that cannot read a data set"
    assert str(tmp_path / "data" / "pets") in fault.where
