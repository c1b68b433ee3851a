"""What other machines say: of their clocks, and of what is wrong with them."""

from __future__ import annotations

from orchestrator.doctor.finding import Finding
from orchestrator.doctor.nodes import clock_offset, examine_faults
from orchestrator.plan import Node
from orchestrator.sweep.probe import Exchange
from orchestrator.sweep.proof import Fault


def test_the_quickest_exchange_says_how_late_it_is() -> None:
    slow = Exchange(sent_s=100.0, remote_s=109.0, received_s=104.0)
    quick = Exchange(sent_s=110.0, remote_s=115.25, received_s=110.5)
    assert clock_offset([slow, quick]) == (5.0, 0.25)
    behind = Exchange(sent_s=10.0, remote_s=7.0, received_s=10.0)
    assert clock_offset([behind, quick, slow]) == (-3.0, 0.0)


def test_what_is_wrong_with_a_node_is_a_finding() -> None:
    node = Node(8, 0, id="abc", name="node b (10.0.0.2)")
    fault, note = Fault("kind", "/x is not there", "mount it"), Fault("little", "2 MB", "more", is_note=True)
    first, second = examine_faults(node, [fault, note])
    assert first == Finding("kind", "node b (10.0.0.2): /x is not there", "mount it")
    assert second == Finding("little", "node b (10.0.0.2): 2 MB", "more", severity="note")
