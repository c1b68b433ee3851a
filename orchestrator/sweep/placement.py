"""What holds the resources of worker groups: Ray's placement groups, by the actor that made them.

Ray's public table of them does not say who that was, so this reads what it is made from.
"""

from __future__ import annotations

from collections.abc import Collection

import ray
from ray._private.state import state
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util.placement_group import PlacementGroup, remove_placement_group

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
        is_left = group.creator_actor_dead and group.state != PlacementGroupTableData.REMOVED
        if made_by_actor and is_left and group.creator_job_id.hex() == job_id:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))


def _placement_groups() -> list[PlacementGroupTableData]:
    table = state._connect_and_get_accessor().get_placement_group_table()
    return [PlacementGroupTableData.FromString(entry) for entry in table]
