"""How many slots there are on a cluster whose nodes come and go, without one."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
from commands import until

from orchestrator.experiment import load_experiment
from orchestrator.plan import Node
from orchestrator.storage import Storage, marked
from orchestrator.sweep import width
from orchestrator.sweep.proof import Fault, Proof
from orchestrator.sweep.width import Width

FILE = "name: one\ndataset: digits\nmodel: convnet\naugment: [erm]\nresources: {max_slots: 6}\n"


def test_auto_follows_the_nodes_that_can_train_and_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.yaml").write_text(FILE)
    with marked(Storage(tmp_path / "runs")) as marker:
        proof = Proof.of(load_experiment(tmp_path / "one.yaml"), marker)
    asked: list[list[str]] = []

    def refused(_: Proof, nodes: list[Node], **__: object) -> dict[Node, list[Fault]]:
        asked.append([node.id for node in nodes])
        old, mute = Fault("old", "torch 1 (here 2)", ""), Fault("mute", "no answer", "", may_pass=True)
        faults = {"bad": [old], "mute": [mute] if len(asked) < 3 else []}
        return {node: faults[node.id] for node in nodes if faults.get(node.id)}

    at_the_moment: list[Node] = []
    monkeypatch.setattr(width, "living_nodes", lambda: at_the_moment)
    monkeypatch.setattr(width, "refused_nodes", refused)
    changes: list[tuple[int, int]] = []
    said: list[str] = []
    follows = Width(
        2,
        proof,
        able=frozenset({"a"}),
        refused=frozenset({"b"}),
        on_change=lambda *change: changes.append(change),
        say=said.append,
    )
    mute = Node(1, 0, "mute", "node m")
    for nodes in (
        [Node(2, 0, "a"), Node(8, 0, "b")],
        [
            Node(2, 0, "a"),
            Node(8, 0, "b"),
            Node(2, 0, "c"),
            Node(4, 0, "bad", "node bad"),
            Node(1, 0, "mute", "node m"),
        ],
        # For a moment.
        [Node(2, 0, "a", held_cpus=1), Node(2, 0, "c"), mute],
        [Node(2, 0, "a"), Node(2, 0, "c")],
        [Node(2, 0, "a", held_cpus=1), Node(2, 0, "c")],
        [Node(2, 0, "a", held_cpus=1), Node(2, 0, "c")],
        [Node(2, 0, "a"), Node(64, 0, "c"), mute],
    ):
        at_the_moment[:] = nodes
        follows.look()
    assert changes == [(4, 2), (3, 4), (6, 3)]
    assert asked == [["c", "bad", "mute"], ["mute"], ["mute"]]
    assert said == ["node bad trains nothing: torch 1 (here 2)", "node m trains nothing: no answer"]


def test_the_thread_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it waits for answers; and it goes on after an error."""
    (tmp_path / "one.yaml").write_text(FILE)
    with marked(Storage(tmp_path / "runs")) as marker:
        proof = Proof.of(load_experiment(tmp_path / "one.yaml"), marker)
    looks: list[str] = []

    def nodes() -> list[Node]:
        looks.append("look")
        if len(looks) == 1:
            raise ValueError("nobody has thought of that")
        return [Node(2, 0, "a")]

    def waits(_: Proof, __: list[Node], *, ended: Event) -> dict[Node, list[Fault]]:
        looks.append("asks")
        ended.wait(20)
        return {}

    monkeypatch.setattr(width, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(width, "living_nodes", nodes)
    monkeypatch.setattr(width, "refused_nodes", waits)
    with Width(1, proof, able=frozenset(), refused=frozenset(), on_change=lambda *_: None, say=looks.append) as follows:
        until(lambda: "asks" in looks)
    assert not follows._thread.is_alive()
    assert looks[:3] == ["look", "look", "asks"]
