"""What a sweep would do, need and cost; no Ray."""

from orchestrator.plan.changed_data import as_decoded, other_data
from orchestrator.plan.costing import Costing, RaceLeft
from orchestrator.plan.hours import cost_lines
from orchestrator.plan.images import (
    check_cache,
    check_images,
    decoded_bytes,
    distinct_images,
    distinct_splits,
    images_of,
    num_packed,
)
from orchestrator.plan.inputs import DataFound, check_inputs
from orchestrator.plan.placement import (
    Layout,
    Node,
    layout,
    local_layout,
    local_node,
    planned_local_layout,
    room_for,
    workers_on,
)
from orchestrator.plan.plan import Plan, make_plan, pending_cells, reached_epochs
from orchestrator.plan.searching import Searched, search_lines, searched
from orchestrator.plan.wording import data_lines, plan_lines

__all__ = [
    "Costing",
    "DataFound",
    "Layout",
    "Node",
    "Plan",
    "RaceLeft",
    "Searched",
    "as_decoded",
    "check_cache",
    "check_images",
    "check_inputs",
    "cost_lines",
    "data_lines",
    "decoded_bytes",
    "distinct_images",
    "distinct_splits",
    "images_of",
    "layout",
    "local_layout",
    "local_node",
    "make_plan",
    "num_packed",
    "other_data",
    "pending_cells",
    "plan_lines",
    "planned_local_layout",
    "reached_epochs",
    "room_for",
    "search_lines",
    "searched",
    "workers_on",
]
