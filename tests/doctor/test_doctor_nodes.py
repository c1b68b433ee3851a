"""What other machines say: of their clocks, and of plug-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.doctor import nodes
from orchestrator.doctor.finding import Finding
from orchestrator.doctor.nodes import Exchange, clock_offset, examine_nodes
from orchestrator.sweep.probe import Answer


def test_the_quickest_exchange_says_how_late_it_is() -> None:
    slow = Exchange(sent_s=100.0, remote_s=109.0, received_s=104.0)
    quick = Exchange(sent_s=110.0, remote_s=115.25, received_s=110.5)
    assert clock_offset([slow, quick]) == (5.0, 0.25)
    behind = Exchange(sent_s=10.0, remote_s=7.0, received_s=10.0)
    assert clock_offset([behind, quick, slow]) == (-3.0, 0.0)


def test_a_node_that_cannot_use_a_plugin_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = (Exchange(sent_s=1.0, remote_s=1.0, received_s=1.0),)
    versions = {name: nodes.version(name) for name in nodes.COMPARED}
    said = "plug-in mynets: /there/mynets.py on b is 3fa2, and the driver has 9c1e"
    answers = [
        Answer(f"node {name}", now, versions, sees_folder=True, packages={"augment": "/here"}, own_code=wrong)
        for name, wrong in (("a", ""), ("b", said))
    ]
    monkeypatch.setattr(nodes, "ask_nodes", lambda *_: iter(answers))
    (finding,) = [line for line in examine_nodes(tmp_path) if isinstance(line, Finding)]
    assert (finding.what, finding.where) == ("a node that cannot use a plug-in", f"node b: {said}")
