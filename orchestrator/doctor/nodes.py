"""The nodes of a Ray cluster that was joined: whether they can train, and what their clocks say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.doctor.finding import Finding, Line, Severity
from orchestrator.plan import Node
from orchestrator.sweep.probe import Exchange, ask_clock
from orchestrator.sweep.proof import Fault

# Rows of a cell come from several machines' clocks.
MAX_SKEW_S = 2.0


def clock_offset(exchanges: Sequence[Exchange]) -> tuple[float, float]:
    """Return how far the other clock is ahead of ours and by how much that may be wrong, in seconds.

    As NTP does it: the other clock was read somewhere between sending and receiving, and the quickest exchange says
    most precisely when.
    """
    best = min(exchanges, key=lambda exchange: exchange.round_trip_s)
    return best.remote_s - (best.sent_s + best.received_s) / 2, best.round_trip_s / 2


def examine_faults(node: Node, faults: Sequence[Fault]) -> Iterator[Line]:
    """Say what is wrong with a node."""
    for fault in faults:
        severity: Severity = "note" if fault.is_note else "error"
        yield Finding(fault.what, f"{node.name}: {fault.where}", fault.remedy, severity=severity)


def examine_clock(node: Node) -> Iterator[Line]:
    """Compare a node's clock with the driver's."""
    exchanges = ask_clock(node)
    if not exchanges:
        return
    offset_s, uncertainty_s = clock_offset(exchanges)
    yield f"{node.name}: clock {offset_s:+.3f} s ± {uncertainty_s:.3f} s"
    if abs(offset_s) - uncertainty_s > MAX_SKEW_S:
        yield Finding(
            f"a clock that is off by more than {MAX_SKEW_S:g} s: times in MLflow and in logs disagree",
            f"{node.name}: {offset_s:+.1f} s",
            "set it by NTP, e.g. chronyc makestep",
        )
