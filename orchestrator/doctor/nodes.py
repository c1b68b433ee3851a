"""The nodes of a Ray cluster that was joined: which versions they have, what they see, and what their clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestrator.doctor.finding import Finding, Line

MAX_SKEW_S = 2.0
# Rows of a cell come from several machines' clocks; what differs in these changes a result or ends a sweep.
COMPARED = ("torch", "torchvision", "ray", "numpy")
_ROUNDS = 3
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Exchange:
    """One question to another machine, in seconds: when it was sent, what its clock said, when the answer came."""

    sent_s: float
    remote_s: float
    received_s: float

    @property
    def round_trip_s(self) -> float:
        """How long it took."""
        return self.received_s - self.sent_s


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
    import ray

    ours = {name: version(name) for name in COMPARED}
    for node in (node for node in ray.nodes() if node["Alive"]):
        name = f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        ask = _asking(node["NodeID"], storage)
        try:
            answers = [_exchange(ask) for _ in range(_ROUNDS)]
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            yield Finding("a node does not answer", f"{name}: {lines[0][:300]}", "see to it, or take it out")
            continue
        yield from _examine(name, answers, ours, storage)


def _examine(
    name: str, answers: list[tuple[Exchange, dict[str, Any]]], ours: dict[str, str], storage: Path
) -> Iterator[Line]:
    _, seen = answers[-1]
    offset_s, uncertainty_s = clock_offset([exchange for exchange, _ in answers])
    yield f"{name}: clock {offset_s:+.3f} s ± {uncertainty_s:.3f} s"
    if abs(offset_s) - uncertainty_s > MAX_SKEW_S:
        yield Finding(
            f"a clock that is off by more than {MAX_SKEW_S:g} s: times in MLflow and in logs disagree",
            f"{name}: {offset_s:+.1f} s",
            "set it by NTP, e.g. chronyc makestep",
        )
    others = {package: found for package, found in seen["versions"].items() if found != ours[package]}
    if others:
        differing = ", ".join(f"{package} {found} (here {ours[package]})" for package, found in others.items())
        yield Finding("other versions than here", f"{name}: {differing}", "install the same on all nodes")
    if storage.is_dir() and not seen["storage"]:
        yield Finding(
            "a node that does not see storage",
            f"{name}: {storage}",
            "mount it there under the same path, or name a shared folder with -o storage=PATH",
        )


def _exchange(ask: Callable[[], dict[str, Any]]) -> tuple[Exchange, dict[str, Any]]:
    sent_s = time.time()
    answer = ask()
    return Exchange(sent_s, answer["time_s"], time.time()), answer


def _asking(node_id: str, storage: Path) -> Callable[[], dict[str, Any]]:
    """Return a function that asks a node; the first call is slow, since it starts a process there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    packages, folder = COMPARED, str(storage)

    # Inside a function, so that it is sent as it is: what is installed there is the question.
    def answer() -> dict[str, Any]:
        import importlib.metadata
        import os
        import time

        installed = {}
        for name in packages:
            try:
                installed[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                installed[name] = "missing"
        return {"versions": installed, "storage": os.path.isdir(folder), "time_s": time.time()}

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(answer)
    return lambda: ray.get(task.remote(), timeout=_TIMEOUT_S)
