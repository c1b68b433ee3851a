"""What holds the resources of worker groups: Ray's placement groups, by the actor that made them.

Ray's public table of them does not say who that was, so this reads what it is made from.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.state import state
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util.placement_group import PlacementGroup, remove_placement_group

from orchestrator.credentials import without_secrets

# What is held of a node.
COUNTED = ("CPU", "GPU")
# A label that Ray gives to each node.
_NODE_ID = "ray.io/node-id"
_UNPLACED = (
    PlacementGroupTableData.PENDING,
    PlacementGroupTableData.PREPARED,
    PlacementGroupTableData.RESCHEDULING,
)


def waits_for_resources(actor_id: str) -> bool:
    """Return whether an actor has asked for resources that are not free yet."""
    return any(group.creator_actor_id.hex() == actor_id and group.state in _UNPLACED for group in _placement_groups())


def is_alive(actor_id: str, *, after_s: float) -> bool:
    """Return whether an actor is alive still, as far as Ray knows after so many seconds."""
    until = time.monotonic() + after_s
    while state.actor_table(actor_id).get("State") == "ALIVE":
        if time.monotonic() > until:
            return True
        time.sleep(0.5)
    return False


def lost_nodes(node_ids: Collection[str]) -> dict[str, str]:
    """Return those of some nodes of this cluster that are not in it any more, with their names, by id."""
    known = {node["NodeID"]: node for node in ray.nodes()}
    lost = [each for each in node_ids if each not in known or not known[each]["Alive"]]
    return {each: node_name(known[each]) if each in known else "a node" for each in lost}


def node_name(node: Mapping[str, Any]) -> str:
    """Return what a node is called in messages, from what Ray says of it."""
    return f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


@dataclass(frozen=True)
class Held:
    """What a job holds of a cluster, all nodes together, as far as Ray says by whom it is held.

    Attributes:
        job: In words.
        amounts: By resource.
    """

    job: str
    amounts: Mapping[str, float]

    def __str__(self) -> str:
        amounts = " and ".join(f"{amount:g} {name}" for name, amount in sorted(self.amounts.items()))
        return f"{amounts} by {self.job}"


def held_by_others() -> list[Held]:
    """Return what other jobs hold in placement groups, those that hold most first."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for group, job_id in _placed():
        if job_id != ray.get_runtime_context().get_job_id():
            for bundle in group.bundles:
                held[job_id].update(_amounts(bundle.unit_resources))
    # What it was called with may be long, and may have what is nobody else's business.
    called = {job["JobID"]: " ".join((job.get("Entrypoint") or "").split()[:4]) for job in state.job_table()}
    found = [
        Held(f"job {job}" + (f" ({without_secrets(called[job])} …)" if called.get(job) else ""), amounts)
        for job, amounts in held.items()
        if amounts
    ]
    return sorted(found, key=lambda each: -sum(each.amounts.values()))


def held_on(node_ids: Collection[str]) -> dict[str, Counter[str]]:
    """Return how many CPUs and GPUs of these nodes others hold than this job's groups of workers."""
    ours: dict[str, Counter[str]] = defaultdict(Counter)
    for group, job_id in _placed():
        if job_id == ray.get_runtime_context().get_job_id():
            for bundle in group.bundles:
                ours[bundle.node_id.hex()].update(_amounts(bundle.unit_resources))
    free, totals = state.available_resources_per_node(), state.total_resources_per_node()
    held: dict[str, Counter[str]] = {each: Counter() for each in node_ids}
    for each in held.keys() & totals.keys():
        for name in COUNTED:
            amount = totals[each].get(name, 0.0) - free.get(each, {}).get(name, 0.0) - ours[each][name]
            held[each][name] = max(0.0, amount)
    return held


def _placed() -> Iterator[tuple[PlacementGroupTableData, str]]:
    """Yield the placement groups that hold something, with the jobs that made them."""
    for group in _placement_groups():
        # One that lost a node holds what it has on the others.
        if group.state in (PlacementGroupTableData.CREATED, PlacementGroupTableData.RESCHEDULING):
            yield group, group.creator_job_id.hex()


def num_waiting(bundles: Sequence[Mapping[str, float]]) -> int:
    """Return how many groups of these workers this job has asked for and Ray has no room for at the moment."""
    job_id = ray.get_runtime_context().get_job_id()
    return sum(
        group.state in (PlacementGroupTableData.PENDING, PlacementGroupTableData.RESCHEDULING)
        and group.creator_job_id.hex() == job_id
        and [dict(bundle.unit_resources) for bundle in group.bundles] == list(bundles)
        for group in _placement_groups()
    )


def _amounts(resources: Mapping[str, float]) -> dict[str, float]:
    return {name: resources[name] for name in COUNTED if resources.get(name)}


def on_node(node_id: str) -> dict[str, str]:
    """Return what has Ray place something on this node alone."""
    return {_NODE_ID: node_id}


def on_other_nodes(node_ids: Collection[str]) -> dict[str, str]:
    """Return what has Ray place something on none of these nodes."""
    return {_NODE_ID: f"!in({','.join(sorted(node_ids))})"}


def free_orphans() -> None:
    """Free what actors of this job that have died still hold: the next workers would wait for it.

    A placement group lives as long as the driver, unless Ray Train's controller removes it, which may be what died. The
    helper that Ray Train leaves for that case is told of a group when it is whole, and asks Ray's dashboard.
    """
    job_id = ray.get_runtime_context().get_job_id()
    for group in _placement_groups():
        made_by_actor = not ray.ActorID(group.creator_actor_id).is_nil()
        is_there = group.state != PlacementGroupTableData.REMOVED
        if made_by_actor and is_there and group.creator_job_id.hex() == job_id and _is_left(group):
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))


def _is_left(group: PlacementGroupTableData) -> bool:
    """Return whether the actor that made a group has died."""
    # Ray notes it in the groups that are there when it gives the actor up, and the process may live a little longer:
    # a controller whose workers are killed before it asks for room for others.
    return bool(group.creator_actor_dead) or state.actor_table(group.creator_actor_id.hex()).get("State") == "DEAD"


def _placement_groups() -> list[PlacementGroupTableData]:
    table = state._connect_and_get_accessor().get_placement_group_table()
    return [PlacementGroupTableData.FromString(entry) for entry in table]
