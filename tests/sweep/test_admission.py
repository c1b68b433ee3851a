"""Which nodes the workers of a slot may start on, without a cluster."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

from orchestrator.experiment import load_experiment
from orchestrator.plan import Node
from orchestrator.plugins import carried
from orchestrator.storage import Storage, marked
from orchestrator.sweep import admission
from orchestrator.sweep.admission import LEFT_OUT_S, Admission
from orchestrator.sweep.placement import on_other_nodes
from orchestrator.sweep.proof import Fault, Proof
from orchestrator.sweep.settings import SlotSettings

FILE = "name: one\ndataset: digits\nmodel: convnet\naugment: [erm]\n"
NODES = {name: Node(2, 0, name, f"node {name}") for name in ("able", "old", "away")}


def settings_of(folder: Path) -> SlotSettings:
    (folder / "one.yaml").write_text(FILE)
    experiment = load_experiment(folder / "one.yaml")
    with marked(Storage(folder / "runs")) as marker:
        proof = Proof.of(experiment, marker)
    return SlotSettings(
        data_dir=folder,
        storage=Storage(folder / "runs"),
        train_dir=str(folder),
        resources=experiment.resources,
        cache=experiment.cache.open(),
        preemptible=True,
        plugins=carried(),
        proof=proof,
        able_nodes=("able",),
    )


def test_a_node_that_may_be_able_later_is_left_out_for_a_while_and_then_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it never will be, workers start on others; what is said of it is said once."""
    faults = {
        "old": [Fault("old", "torch 1 (here 2)", "")],
        "away": [Fault("away", "the bucket does not answer", "", may_pass=True)],
    }
    now_s, said = 0.0, list[str]()
    monkeypatch.setattr(admission, "living_nodes", lambda: [*NODES.values()])
    monkeypatch.setattr(
        admission, "refused_nodes", lambda _, nodes: {node: faults[node.id] for node in nodes if node.id in faults}
    )
    monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: now_s))
    mailbox = SimpleNamespace(remark=SimpleNamespace(remote=said.append))
    admitting = Admission(mailbox, settings_of(tmp_path))

    def start_on(*names: str) -> dict[str, list[Any]]:
        workers = [SimpleNamespace(metadata=SimpleNamespace(node_id=name)) for name in names]
        return admitting.before_init_train_context(workers)

    assert admitting.on_controller_start_worker_group() is None
    for refused in ("old", "away"):
        with pytest.raises(WorkerGroupStartupFailedError, match=f"node {refused} trains nothing"):
            start_on("able", refused)
    assert admitting.on_controller_start_worker_group() == on_other_nodes(["away", "old"])
    now_s += LEFT_OUT_S
    assert admitting.on_controller_start_worker_group() == on_other_nodes(["old"])
    with pytest.raises(WorkerGroupStartupFailedError, match="node away trains nothing"):
        start_on("away")
    now_s += LEFT_OUT_S
    del faults["away"]
    assert start_on("able", "away") == {}
    assert said == [
        f"node {name} trains nothing: {why}"
        for name, why in (("old", "torch 1 (here 2)"), ("away", "the bucket does not answer"))
    ]
