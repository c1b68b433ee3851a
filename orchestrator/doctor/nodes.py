"""The nodes of a Ray cluster that was joined: which versions they have, what they see, and what their clocks say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from orchestrator.doctor.finding import Finding, Line
from orchestrator.shadows import REMEDY
from orchestrator.sweep.probe import Answer, Exchange, Silence, ask_nodes

MAX_SKEW_S = 2.0
# Rows of a cell come from several machines' clocks; what differs in these changes a result or ends a sweep.
COMPARED = ("torch", "torchvision", "ray", "numpy")


def clock_offset(exchanges: Sequence[Exchange]) -> tuple[float, float]:
    """Return how far the other clock is ahead of ours and by how much that may be wrong, in seconds.

    As NTP does it: the other clock was read somewhere between sending and receiving, and the quickest exchange says
    most precisely when.
    """
    best = min(exchanges, key=lambda exchange: exchange.round_trip_s)
    return best.remote_s - (best.sent_s + best.received_s) / 2, best.round_trip_s / 2


def examine_nodes(storage: Path) -> Iterator[Line]:
    """Ask each living node of the cluster that this process has joined.

    Args:
        storage: Which every node must see, if it is there.
    """
    ours = {name: version(name) for name in COMPARED}
    for answer in ask_nodes(COMPARED, storage):
        if isinstance(answer, Silence):
            yield Finding("a node does not answer", f"{answer.node}: {answer.reason}", "see to it, or take it out")
        else:
            yield from _examine(answer, ours, storage)


def _examine(answer: Answer, ours: dict[str, str], storage: Path) -> Iterator[Line]:
    offset_s, uncertainty_s = clock_offset(answer.exchanges)
    yield f"{answer.node}: clock {offset_s:+.3f} s ± {uncertainty_s:.3f} s"
    if abs(offset_s) - uncertainty_s > MAX_SKEW_S:
        yield Finding(
            f"a clock that is off by more than {MAX_SKEW_S:g} s: times in MLflow and in logs disagree",
            f"{answer.node}: {offset_s:+.1f} s",
            "set it by NTP, e.g. chronyc makestep",
        )
    others = {package: found for package, found in answer.versions.items() if found != ours[package]}
    if others:
        differing = ", ".join(f"{package} {found} (here {ours[package]})" for package, found in others.items())
        yield Finding("other versions than here", f"{answer.node}: {differing}", "install the same on all nodes")
    if not all(answer.packages.values()):
        lacking = ", ".join(package for package, folder in answer.packages.items() if not folder)
        yield Finding(
            "a node that has no zetasweep", f"{answer.node}: {lacking}", "install it there: cells fail without"
        )
    elif len(set(answer.packages.values())) > 1:
        where = ", ".join(f"{package} from {folder}" for package, folder in answer.packages.items())
        yield Finding("a module that hides another", f"{answer.node}: {where}", REMEDY)
    if answer.own_code:
        yield Finding(
            "a node that cannot use a plug-in",
            f"{answer.node}: {answer.own_code}",
            "have it there as here: cells fail without",
        )
    if storage.is_dir() and not answer.sees_folder:
        yield Finding(
            "a node that does not see storage",
            f"{answer.node}: {storage}",
            "mount it there under the same path, or name a shared folder with -o storage=PATH",
        )
