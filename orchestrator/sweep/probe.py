"""Asks the nodes of a Ray cluster, all at a time and each for no longer than a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

from orchestrator.plan import Node
from orchestrator.sweep import node_look
from orchestrator.sweep.proof import Answer, Asked, Fault, Proof, Silence
from orchestrator.waiting import waiting_for

# A node that is busy takes half a minute to start a process that imports torch.
ANSWER_TIMEOUT_S = 60.0
_ROUNDS = 3
_WAIT_S = 0.5


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


def living_nodes() -> list[Node]:
    """Return the nodes of the cluster that this process has joined, with what others hold of them."""
    import ray  # seconds, which whoever joins no cluster need not pay

    from orchestrator.sweep.placement import held_on, node_name

    alive = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: (node_name(node), node["NodeID"]))
    held = held_on([node["NodeID"] for node in alive])
    return [
        Node(
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            id=node["NodeID"],
            name=node_name(node),
            held_cpus=held[node["NodeID"]]["CPU"],
            held_gpus=held[node["NodeID"]]["GPU"],
        )
        for node in alive
    ]


def ask_nodes(asked: Asked, nodes: Sequence[Node], *, ended: Event | None = None) -> dict[str, Answer | Silence]:
    """Return what each node answers, by its id; whoever has not by the time that nobody wants to know, is silent."""
    answers = _on_each(node_look.look, nodes, asdict(asked), ended=ended)
    return {node_id: answer if isinstance(answer, Silence) else Answer(**answer) for node_id, answer in answers.items()}


def ask_clock(node: Node) -> list[Exchange]:
    """Return what the clock of a node says, a few times; not at all if it does not answer."""
    exchanges = []
    for _ in range(_ROUNDS):
        sent_s = time.time()
        (remote_s,) = _on_each(node_look.now, [node]).values()
        if isinstance(remote_s, Silence):
            break
        exchanges.append(Exchange(sent_s, remote_s, time.time()))
    return exchanges


def refused_nodes(proof: Proof, nodes: Sequence[Node], *, ended: Event | None = None) -> dict[Node, list[Fault]]:
    """Return the nodes that cannot train, with what is wrong with each; see `ask_nodes`."""
    answers = ask_nodes(proof.asked, nodes, ended=ended)
    faults = {node: [fault for fault in proof.faults(answers[node.id], node) if not fault.is_note] for node in nodes}
    return {node: found for node, found in faults.items() if found}


def refusal(node: Node, faults: Sequence[Fault]) -> str:
    """Return in a line why a node trains nothing."""
    return f"{node.name} trains nothing: {'; '.join(fault.where for fault in faults)}"


def _on_each(
    function: Callable[..., Any], nodes: Sequence[Node], *arguments: Any, ended: Event | None = None
) -> dict[str, Any]:
    """Return what a function of `node_look` returns on each node, by its id."""
    import ray  # as above
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    calls = {}
    # By value: what is installed there is the question.
    ray.cloudpickle.register_pickle_by_value(node_look)
    try:
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node.id, soft=False)
            calls[node.id] = task.options(scheduling_strategy=there).remote(*arguments)
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_look)
    until, done = time.monotonic() + ANSWER_TIMEOUT_S, list[Any]()
    with waiting_for("the nodes of the cluster to answer"):
        while len(done) < len(calls) and time.monotonic() < until and not (ended is not None and ended.is_set()):
            done, _ = ray.wait(list(calls.values()), num_returns=len(calls), timeout=_WAIT_S)
    if ended is not None and ended.is_set():
        return {node_id: Silence("nobody waits for its answer any more") for node_id in calls}
    answers: dict[str, Any] = {}
    for node_id, call in calls.items():
        if call not in done:
            ray.cancel(call, force=True)
            answers[node_id] = Silence(f"no answer within {ANSWER_TIMEOUT_S:g} s")
            continue
        try:
            answers[node_id] = ray.get(call)
        except ray.exceptions.RayError as error:
            # What the node itself has raised says more than the way that it came.
            said = getattr(error, "cause", None) or error
            answers[node_id] = Silence(" ".join(str(said).split())[:1000] or type(said).__name__)
    return answers
