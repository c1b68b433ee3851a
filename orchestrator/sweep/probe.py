"""Asks the nodes of a Ray cluster that this process has joined: their clocks, packages, folders, and plug-ins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.plugins import carried
from orchestrator.shadows import PACKAGES
from orchestrator.waiting import waiting_for

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


@dataclass(frozen=True)
class Answer:
    """What a node says of itself.

    Attributes:
        node: Its name and address.
        exchanges: Of each time that it was asked.
        versions: Of the packages asked for; ``missing`` where there is none.
        sees_folder: Whether the folder asked for is there.
        packages: The folder that each of zetasweep's packages is imported from; empty where there is none.
        own_code: What is wrong there with the plug-ins in use here; empty if nothing is.
    """

    node: str
    exchanges: tuple[Exchange, ...]
    versions: dict[str, str]
    sees_folder: bool
    packages: dict[str, str]
    own_code: str = ""


@dataclass(frozen=True)
class Silence:
    """A node that does not answer, and why."""

    node: str
    reason: str


def ask_nodes(packages: Sequence[str], folder: Path) -> Iterator[Answer | Silence]:
    """Ask each living node of the cluster.

    Args:
        packages: Whose versions to ask for.
        folder: Absolute; whether the node has it is asked.
    """
    import ray  # seconds, which whoever joins no cluster need not pay

    for node in (node for node in ray.nodes() if node["Alive"]):
        name = f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        ask = _asking(node["NodeID"], tuple(packages), str(folder))
        try:
            with waiting_for(f"{name} to answer"):
                answers = [_exchange(ask) for _ in range(_ROUNDS)]
        except ray.exceptions.RayError as error:
            yield Silence(name, " ".join(str(error).split())[:1000] or type(error).__name__)
            continue
        _, last = answers[-1]
        exchanges = tuple(exchange for exchange, _ in answers)
        yield Answer(
            name,
            exchanges,
            versions=last["versions"],
            sees_folder=last["folder"],
            packages=last["packages"],
            own_code=last["own_code"],
        )


def _exchange(ask: Callable[[], dict[str, Any]]) -> tuple[Exchange, dict[str, Any]]:
    sent_s = time.time()
    answer = ask()
    return Exchange(sent_s, answer["time_s"], time.time()), answer


def _asking(node_id: str, packages: tuple[str, ...], folder: str) -> Callable[[], dict[str, Any]]:
    """Return a function that asks a node; the first call is slow, since it starts a process there."""
    import ray  # as above
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # In plain types: a node that has no zetasweep can still say so.
    ours, own_code = PACKAGES, carried().plain

    # Inside a function, so that it is sent as it is: what is installed there is the question.
    def answer() -> dict[str, Any]:
        import importlib.metadata
        import importlib.util
        import os
        import time

        installed = {}
        for name in packages:
            try:
                installed[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                installed[name] = "missing"
        found = {}
        for name in ours:
            spec = importlib.util.find_spec(name)
            found[name] = os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else ""
        wrong = ""
        if all(found.values()):
            try:
                from orchestrator.plugins import Carried

                Carried.of_plain(own_code).use()
            except Exception as error:  # noqa: BLE001 - of somebody's own code: the driver says it
                wrong = " ".join(str(error).split())
        return {
            "versions": installed,
            "folder": os.path.isdir(folder),
            "packages": found,
            "own_code": wrong,
            "time_s": time.time(),
        }

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(answer)
    return lambda: ray.get(task.remote(), timeout=_TIMEOUT_S)
